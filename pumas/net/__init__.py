<<<<<<< HEAD
"""What comes over a network: the hub, releases."""
=======
"""Everything that is asked of servers in the network: one client, and what is known of the services asked."""
>>>>>>> net-core
