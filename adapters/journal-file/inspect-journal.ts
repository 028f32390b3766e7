/** The journal's folder, looked at beside its sidecar or without one. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import { assignmentText } from '../../core/ports/assignment-name.ts';
import type { JournalCopy, JournalInspection, RefusedFile } from '../../core/ports/journal-inspection.ts';
import { INSTANCE_ID, RESERVE_BYTES } from './file-journal.ts';
import { nodeJournalFiles } from './journal-files.ts';
import { NEWEST, PREVIOUS, readCopy } from './read-copy.ts';

const REASON = '.reason.txt';
const SET_ASIDE = /^(queue\.json|ended-[0-9]+\.log)\.corrupt-/;
/** A reason is a line or two. */
const REASON_CHARACTERS_MAX = 500;

/** Fails with `AC_DATA_DIR` when the folder is there and cannot be read. */
export async function inspectJournal(dataDir: string): Promise<JournalInspection> {
  return {
    dataDir,
    found: await lookInto(dataDir),
    hasReport: (name) => isThere(join(dataDir, 'outbox', `${assignmentText(name)}.json`)),
    hasResults: (name) => isThere(join(dataDir, 'results', assignmentText(name))),
  };
}

async function lookInto(dataDir: string): Promise<JournalInspection['found']> {
  if (!(await isThere(dataDir))) return null;
  try {
    const names = await readdir(dataDir);
    const instanceId = await textOf(join(dataDir, 'instance-id'));
    return {
      openToOthers: await nodeJournalFiles.isOpenToOthers(dataDir),
      newest: await lookAtCopy(dataDir, NEWEST),
      previous: await lookAtCopy(dataDir, PREVIOUS),
      instanceId: instanceId === null ? 'missing' : INSTANCE_ID.test(instanceId.trim()) ? 'good' : 'bad',
      hasReserve: names.includes('reserve') && (await stat(join(dataDir, 'reserve'))).size === RESERVE_BYTES,
      setAside: names.filter((name) => SET_ASIDE.test(name)).sort(),
      refused: await refusedIn(join(dataDir, 'refused')),
    };
  } catch (thrown) {
    throw new AgentcomError('AC_DATA_DIR', `Cannot read the data directory "${dataDir}": ${messageOf(thrown)}. Look at it as its owner.`, {
      cause: thrown,
    });
  }
}

/** Twice, before it is called bad: a running sidecar may have taken away what the copy named, once it had written the next. */
async function lookAtCopy(dataDir: string, name: string): Promise<JournalCopy> {
  const copy = await readCopy(dataDir, nodeJournalFiles, name);
  return copy.kind === 'bad' ? await readCopy(dataDir, nodeJournalFiles, name) : copy;
}

async function refusedIn(folder: string): Promise<readonly RefusedFile[]> {
  if (!(await isThere(folder))) return [];
  const names = (await readdir(folder)).filter((name) => !name.endsWith(REASON)).sort();
  return Promise.all(
    names.map(async (name): Promise<RefusedFile> => {
      const reason = await textOf(join(folder, `${name.replace(/\.json$/, '')}${REASON}`));
      return { name, bytes: (await stat(join(folder, name))).size, reason: reason?.trim().slice(0, REASON_CHARACTERS_MAX) ?? null };
    }),
  );
}

async function textOf(path: string): Promise<string | null> {
  return (await isThere(path)) ? readFile(path, 'utf8') : null;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw thrown;
  }
}
