"""Commands about what is changed on the way: rules, hooks, shapes, providers."""
