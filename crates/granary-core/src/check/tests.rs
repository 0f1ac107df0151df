mod bodies;
mod edges;
mod faults;
mod helpers;
mod meta;
mod random;
mod references;
mod singles;
