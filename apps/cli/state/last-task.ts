/** The task that this user last submitted or acted on, for each hub: `@last`. */
import type { StateFolder } from './state-folder.ts';

const NAME = 'last-task.json';
/** How many hubs are kept, the latest first. */
const HUBS_MAX = 32;

type Kept = Readonly<Record<string, string>>;

export async function lastTask(folder: StateFolder, hubUrl: string): Promise<string | null> {
  return (await read(folder))[hubUrl] ?? null;
}

export async function keepLastTask(folder: StateFolder, hubUrl: string, taskId: string): Promise<void> {
  const { [hubUrl]: _, ...others } = await read(folder);
  const latest = Object.entries({ [hubUrl]: taskId, ...others }).slice(0, HUBS_MAX);
  await folder.write(NAME, Object.fromEntries(latest));
}

async function read(folder: StateFolder): Promise<Kept> {
  const kept = await folder.read(NAME);
  if (typeof kept !== 'object' || kept === null) return {};
  return Object.fromEntries(Object.entries(kept).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}
