/** An empty batch, for saving one kind of row. */
import type { SavedRows } from '../../../adapters/storage-knex/engine.ts';

export const NO_ROWS: SavedRows = {
  insertTasks: [],
  insertBodies: [],
  insertDependencies: [],
  updateTasks: [],
  saveResults: [],
  dropKept: [],
  saveKept: [],
  saveAgents: [],
  clearStops: [],
  saveStops: [],
  insertKeys: [],
  insertEvents: [],
};
