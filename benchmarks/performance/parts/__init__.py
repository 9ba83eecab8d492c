"""Parts of the suite: each measures one thing and writes raw rows; reports interpret them."""
