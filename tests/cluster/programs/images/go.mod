// The programs in the images that test pods run: scripts/cluster-programs makes the images.
module flock.fritzlab.net/tests/cluster/images

go 1.26.0
