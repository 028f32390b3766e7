/** Tokens record which one replaces them. No existing one was rotated. */
import type { Migration } from '../rows/migration.ts';

export const tokenRotation: Migration = {
  name: '0013-token-rotation',
  sqlite: [`ALTER TABLE tokens ADD COLUMN replaced_by TEXT`],
  postgres: [`ALTER TABLE tokens ADD COLUMN replaced_by text`],
};
