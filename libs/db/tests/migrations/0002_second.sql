INSERT INTO notes (id, text) VALUES (1, 'made by a migration');
