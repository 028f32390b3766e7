/** The result inbox of a worker: its agent is a function, so they exchange no files. */
import type { PreparedRun, ResultInbox } from '../../core/ports/result-inbox.ts';

const NOTHING = Promise.resolve();
const PATHS: PreparedRun = { resultsDir: '', taskFile: '', runDir: '' };
const PREPARED = Promise.resolve(PATHS);

/** Finds nothing and keeps nothing. */
export const noFiles: ResultInbox = {
  open: () => NOTHING,
  prepare: () => PREPARED,
  pathsOf: () => PATHS,
  watch: () => undefined,
  scan: () => NOTHING,
  unwatch: () => undefined,
  withdraw: () => NOTHING,
  withdrawAllExcept: () => NOTHING,
  keepResult: () => NOTHING,
  keptBytes: () => Promise.resolve(0),
  listFolders: () => Promise.resolve([]),
  remove: () => NOTHING,
  close: () => NOTHING,
};
