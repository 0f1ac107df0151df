mod profiles;
mod relationship_definitions;
mod relationships;
mod resources;
mod tasks;
