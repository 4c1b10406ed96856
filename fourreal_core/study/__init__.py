"""A user study of compared methods: made, served to evaluators, and reported (supplement, section 4)."""
