mod bundle;
mod profiles;
mod purge;
mod relationship_definitions;
mod relationships;
mod resources;
mod tasks;
