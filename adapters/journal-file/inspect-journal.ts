/** Inspects the journal's folder, whether its sidecar is running or not. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AgentcomError, messageOf } from '../../core/errors/agentcom-error.ts';
import { assignmentText } from '../../core/ports/assignment-name.ts';
import type { JournalCopy, JournalInspection, RefusedFile } from '../../core/ports/journal.ts';
import { readRegularFile, unlessMissing } from '../kit/platform-files.ts';
import { INSTANCE_ID, RESERVE_BYTES } from './file-journal.ts';
import { lockHolder } from './folder-lock.ts';
import { HELD } from './held-tasks.ts';
import { nodeJournalFiles, type JournalFiles } from './journal-files.ts';
import { NEWEST, PREVIOUS, readCopy } from './read-copy.ts';

const REASON = '.reason.txt';
/** Copies of the state, `ended` lists, and in `held/` large tasks that only a damaged copy needed. */
const SET_ASIDE = /^(queue\.json|ended-[0-9]+\.log|held\/[0-9a-f]{64}\.json)\.corrupt-/;
/** A reason is a line or two. */
const REASON_CHARACTERS_MAX = 500;

/** Rejects with `AC_DATA_DIR` if the folder exists but cannot be read. `files` is replaced in tests. */
export async function inspectJournal(dataDir: string, files = nodeJournalFiles): Promise<JournalInspection> {
  return {
    dataDir,
    found: await inspectFolder(dataDir, files),
    hasReport: (name) => exists(join(dataDir, 'outbox', `${assignmentText(name)}.json`)),
    hasResults: (name) => exists(join(dataDir, 'results', assignmentText(name))),
  };
}

async function inspectFolder(dataDir: string, files: JournalFiles): Promise<JournalInspection['found']> {
  if (!(await exists(dataDir))) return null;
  try {
    const names = await readdir(dataDir);
    const instanceId = await textOf(join(dataDir, 'instance-id'));
    return {
      openToOthers: await files.isOpenToOthers(dataDir),
      newest: await inspectCopy(dataDir, NEWEST, files),
      previous: await inspectCopy(dataDir, PREVIOUS, files),
      instanceId: instanceId === null ? 'missing' : INSTANCE_ID.test(instanceId.trim()) ? 'good' : 'bad',
      hasReserve: names.includes('reserve') && (await stat(join(dataDir, 'reserve'))).size === RESERVE_BYTES,
      holder: await lockHolder(dataDir, files),
      setAside: await setAsideIn(dataDir, names),
      refused: await refusedIn(join(dataDir, 'refused')),
    };
  } catch (thrown) {
    throw new AgentcomError('AC_DATA_DIR', `Cannot read the data directory "${dataDir}": ${messageOf(thrown)}. Run this as its owner.`, {
      cause: thrown,
    });
  }
}

/** How often a copy is read that a running sidecar replaces meanwhile. */
const READS_MAX = 20;

/** A running sidecar removes what a copy refers to soon after it has replaced it: a bad copy counts only if it is still the same one. */
async function inspectCopy(dataDir: string, name: string, files: JournalFiles): Promise<JournalCopy> {
  const bytes = (): Promise<Buffer | null> =>
    files.read(join(dataDir, name)).catch((thrown: unknown) => {
      if (AgentcomError.is(thrown)) return null; // Not a regular file, which the copy says, too.
      throw thrown;
    });
  for (let reads = 1; ; reads += 1) {
    const before = await bytes();
    const copy = await readCopy(dataDir, files, name);
    if (copy.kind !== 'bad' || reads === READS_MAX) return copy;
    const after = await bytes();
    if (before !== null && after?.equals(before) === true) return copy;
  }
}

async function setAsideIn(
  dataDir: string,
  names: readonly string[],
): Promise<readonly { readonly name: string; readonly bytes: number }[]> {
  const held = await unlessMissing(() => readdir(join(dataDir, HELD)), []);
  const found = [...names, ...held.map((name) => `${HELD}/${name}`)].filter((name) => SET_ASIDE.test(name)).sort();
  return Promise.all(found.map(async (name) => ({ name, bytes: (await stat(join(dataDir, name))).size })));
}

async function refusedIn(folder: string): Promise<readonly RefusedFile[]> {
  if (!(await exists(folder))) return [];
  const names = (await readdir(folder)).filter((name) => !name.endsWith(REASON)).sort();
  return Promise.all(
    names.map(async (name): Promise<RefusedFile> => {
      const reason = await textOf(join(folder, `${name.replace(/\.json$/, '')}${REASON}`));
      return { name, bytes: (await stat(join(folder, name))).size, reason: reason?.trim().slice(0, REASON_CHARACTERS_MAX) ?? null };
    }),
  );
}

const textOf = (path: string): Promise<string | null> => unlessMissing(async () => readRegularFile(path).toString('utf8'), null);

const exists = async (path: string): Promise<boolean> => (await unlessMissing(() => stat(path), null)) !== null;
