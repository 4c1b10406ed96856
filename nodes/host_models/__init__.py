"""How each native video model of the host lays out its tokens, and how two streams run through one."""
