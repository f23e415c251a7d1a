"""Links from the folders of apps to the models of the library: rules, preview, making, health."""
