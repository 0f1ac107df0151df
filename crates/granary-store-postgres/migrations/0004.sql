-- The bulk task whose failed and cancelled operations a task tries again.
ALTER TABLE granary.task ADD COLUMN retry_of bytea;
