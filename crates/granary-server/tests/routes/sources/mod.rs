mod bundle;
mod export;
mod profiles;
mod purge;
mod relationship_definitions;
mod relationships;
mod resources;
mod tasks;
