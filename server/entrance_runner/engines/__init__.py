"""The engines that come with Entrance; others are found through the same entry-point group."""
