/**
 * Moves a whole store from one database to another: copies every table, compares both sides, then removes the mark of an unfinished move. A
 * move that is interrupted leaves the source as it was, and a target that no hub opens.
 */
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { digestsOf, lastEventOf, pagesOf, type PartDigest } from './contents.ts';
import type { Place, Side, Target } from './side.ts';
import { tablesToCopy, type Table } from './stored-table.ts';

export interface Move {
  readonly from: Place;
  readonly to: Place;
  /** Empties a target that an interrupted move has left; a complete store is never emptied. */
  readonly emptyUnfinished: boolean;
  readonly onProgress: (progress: MoveProgress) => void;
}

/** `rows` of `of` are done. `of` counts the rows of the whole store, once to copy and twice to compare. */
export interface MoveProgress {
  readonly doing: 'copying' | 'comparing';
  readonly rows: number;
  readonly of: number;
}

export interface Moved {
  readonly storeId: string;
  /** Equal on both sides. */
  readonly parts: readonly PartDigest[];
}

/**
 * Fails with `AC_USAGE` if both cannot be open at once, with the codes of `Place`, with `AC_COPY_DIFFERS`, and with those of the databases;
 * the target is then unfinished.
 */
export async function moveStore({ from, to, emptyUnfinished, onProgress }: Move): Promise<Moved> {
  if (from.takes === to.takes)
    throw new AgentcomError('AC_USAGE', `Cannot copy ${from.shown} to ${to.shown}: both need ${from.takes} for themselves alone. Choose a different target.`); // prettier-ignore
  const source = await from.source();
  try {
    const target = await to.target({ emptyUnfinished });
    try {
      return await copied(source, target, onProgress);
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

async function copied(source: Side, target: Target, onProgress: Move['onProgress']): Promise<Moved> {
  const tables = tablesToCopy(await source.tables(), await target.tables());
  const of = await rowsIn(source, tables);
  const progress = counting('copying', of, onProgress);
  for (const table of tables) await copyTable(source, target, table, progress);
  await target.setLastEvent(await lastEventOf(source));
  await target.countTasks();

  const compared = counting('comparing', 2 * of, onProgress);
  const wanted = await digestsOf(source, tables, compared);
  const found = await digestsOf(target, tables, compared);
  refuseDifference(wanted, found, source.place, target.place);
  const [store] = await target.rows('SELECT store_id FROM store');
  await target.finish();
  return { storeId: String(store?.['store_id']), parts: found };
}

async function copyTable(source: Side, target: Target, table: Table, progress: (rows: number) => void): Promise<void> {
  const insert = target.text.insert(table);
  for await (const page of pagesOf(source, table)) {
    try {
      await target.change(insert, page);
    } catch (thrown) {
      // Any other failure is the target's, such as a full disk.
      if (!AgentcomError.is(thrown, 'AC_INTERNAL')) throw thrown;
      const message = `Rows of ${table.name} in ${source.place} cannot be copied, since they contradict others: ${thrown.message} \`agentcom doctor --fsck\` says what is damaged there.`;
      throw new AgentcomError('AC_COPY_DIFFERS', message, { cause: thrown, details: { table: table.name } });
    }
    progress(page.length);
  }
}

async function rowsIn(side: Side, tables: readonly Table[]): Promise<number> {
  let sum = 0;
  for (const { name } of tables) sum += Number((await side.rows(`SELECT count(*) AS n FROM ${name}`))[0]?.['n']);
  return sum;
}

function counting(doing: MoveProgress['doing'], of: number, onProgress: Move['onProgress']): (rows: number) => void {
  let rows = 0;
  return (more) => onProgress({ doing, rows: (rows += more), of });
}

function refuseDifference(wanted: readonly PartDigest[], found: readonly PartDigest[], source: string, target: string): void {
  const differing = wanted.filter(({ part, rows, sha256 }) => {
    const there = found.find((one) => one.part === part);
    return there?.rows !== rows || there.sha256 !== sha256;
  });
  if (differing.length === 0) return;
  const parts = differing.map(({ part, rows }) => `${part} (${rows} rows, found ${found.find((one) => one.part === part)?.rows ?? 0})`);
  throw new AgentcomError(
    'AC_COPY_DIFFERS',
    `The copy in ${target} differs from ${source}: ${parts.join(', ')}. Nothing but \`agentcom migrate --empty-target\` opens the copy. Make sure that no other program writes to either, and try again; if the error remains, please report it.`,
    { details: { wanted, found } },
  );
}
