"""`ralnode plan simulate`: planners compared on a cluster that is described, or on the present one."""
