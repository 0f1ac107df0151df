mod bodies;
mod edges;
mod faults;
mod helpers;
mod random;
mod references;
mod singles;
