"""Everything that is asked of servers in the network: one client, and what is known of the services asked."""
