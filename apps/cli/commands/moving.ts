/** `agentcom migrate`, `backup` and `restore`. */
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import type { BackupProgress, StorageChoice } from '../../../core/config/config.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { silentLog, type Log } from '../../../core/ports/log.ts';
import type { Action, Context } from '../cli-context.ts';
import { progressOn, progressText } from '../output/progress.ts';

const SHA_256_DIGITS = 64;
const MEBIBYTE = 1_048_576;

export function addMoving(program: Command, action: Action): void {
  const address = 'sqlite:FILE, postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME, or env:VARIABLE with such an address';
  program
    .command('migrate')
    .description('Copy the whole store of a stopped hub to another database and compare both; the source is not changed')
    .requiredOption('--from <address>', address)
    .requiredOption('--to <address>', 'the address of the target, which must be empty')
    .option('--empty-target', 'first remove the partial copy of an interrupted migrate; never removes a complete store')
    .action(action(migrate));
  program
    .command('backup')
    .description("Copy the hub's store into a file, even while the hub runs (SQLite)")
    .argument('<file>', 'the file to write, readable by this user only')
    .option('--force', 'overwrite an existing file')
    .action(action(backup));
  program
    .command('restore')
    .description("Replace the stopped hub's store with a backup and give it a new store ID, so that sidecars detect the change")
    .argument('[file]', 'the backup; if omitted, gives a new ID to a store that another tool restored (pg_restore)')
    .option('--force', 'replace an existing store, which is kept beside the new one')
    .action(action(restore));
}

interface MigrateFlags {
  readonly from: string;
  readonly to: string;
  readonly emptyTarget?: boolean;
}

async function migrate({ output, environment }: Context, { from, to, emptyTarget = false }: MigrateFlags): Promise<void> {
  const { moveStore } = await import('../../../adapters/storage-knex/move/move-store.ts');
  const { placeAt } = await import('../../../adapters/storage-knex/move/places.ts');
  const { cwd, env } = environment;
  const deps = { cwd, env, clock: systemClock(), log: warningsTo(output) };
  const [source, target] = [await placeAt('--from', from, deps), await placeAt('--to', to, deps)];
  const beganMs = performance.now();
  const progress = progressOn(environment, output.json);
  let lastDoing = '';
  output.note(`From ${source.shown}\nto ${target.shown}`);
  try {
    const { storeId, parts } = await moveStore({
      from: source,
      to: target,
      emptyUnfinished: emptyTarget,
      onProgress({ doing, rows, of }) {
        if (!progress.isShown && doing !== lastDoing) output.note(`${doing} ${of} rows …`);
        progress.at(progressText(doing, rows, of, 'rows'), doing !== lastDoing || rows === of);
        lastDoing = doing;
      },
    });
    progress.end();
    const seconds = Math.round((performance.now() - beganMs) / 100) / 10;
    output.data({ from: source.shown, to: target.shown, store_id: storeId, seconds, parts });
    output.table(
      [
        { title: 'part', cell: ({ part }) => part },
        { title: 'rows', cell: ({ rows }) => String(rows) },
        { title: 'sha-256, on both sides', cell: ({ sha256 }) => sha256, charactersMin: SHA_256_DIGITS },
      ],
      parts,
    );
    output.line(`Copied and compared in ${seconds} s: store ${storeId} is now in ${target.shown}.`, 'green');
    output.line('Set hub.storage in the config to it and start the hub. Start no hub on the old store: the two would diverge.');
  } finally {
    progress.end();
  }
}

/** Prints warnings and errors of the databases as notes. */
const warningsTo = ({ note }: Context['output']): Log => ({ ...silentLog, warn: note, error: note });

async function storageOf({ common, environment }: Context): Promise<{ readonly storage: StorageChoice; readonly dataDir: string }> {
  const { loadConfigFile } = await import('../../config/load.ts');
  const { file, config } = await loadConfigFile({ configFile: common.config, cwd: environment.cwd });
  if (config.hub !== undefined) return config.hub;
  throw new AgentcomError(
    'AC_CONFIG_INVALID',
    `${file} has no "hub" section, whose storage this command needs. Name another config with --config FILE.`,
  );
}

const cannot = (what: string, { name }: StorageChoice): AgentcomError =>
  new AgentcomError('AC_USAGE', `Cannot ${what} storage "${name}": it stores nothing permanently. Use sqlite({ file }) in the config.`);

async function backup(context: Context, { force = false }: { readonly force?: boolean }, file: string): Promise<void> {
  const { output, environment } = context;
  const { storage, dataDir } = await storageOf(context);
  if (storage.backUp === undefined) throw cannot('back up', storage);
  const target = resolve(environment.cwd, file);
  await mustHaveFolder(target);
  const progress = progressOn(environment, output.json);
  const onProgress = ({ doing, bytes, of }: BackupProgress): void => {
    if (doing === 'copying') progress.at(progressText('Copying', Math.floor(bytes / MEBIBYTE), Math.ceil(of / MEBIBYTE), 'MiB'));
    else progress.at('Checking the copy …', true);
  };
  const made = await storage.backUp({ dataDir }, { file: target, replace: force, onProgress }).finally(() => progress.end());
  output.data({ file: made.file, bytes: made.bytes, tasks: made.tasks, last_event_id: made.lastEventId, store_id: made.storeId });
  output.line(
    `${made.file}: ${made.tasks} tasks, up to event ${made.lastEventId}, ${made.bytes} bytes, checked and synced to disk.`,
    'green',
  );
}

async function mustHaveFolder(file: string): Promise<void> {
  const folder = dirname(file);
  const found = await stat(folder).catch(() => null);
  if (found?.isDirectory() === true) return;
  const why = found === null ? 'does not exist' : 'is not a folder';
  throw new AgentcomError('AC_USAGE', `Cannot write ${file}: ${folder} ${why}. Create the folder, or name another file.`);
}

async function restore(context: Context, { force = false }: { readonly force?: boolean }, file: string | undefined): Promise<void> {
  const { output, environment } = context;
  const { storage, dataDir } = await storageOf(context);
  if (storage.restore === undefined) throw cannot('restore', storage);
  const done = await storage.restore(
    { dataDir, clock: systemClock() },
    { file: file === undefined ? null : resolve(environment.cwd, file), replace: force },
  );
  output.data({ place: done.place, store_id: done.storeId, tasks: done.tasks, last_event_id: done.lastEventId, kept: done.kept });
  output.line(`${done.place}: ${done.tasks} tasks, up to event ${done.lastEventId}. Its new store ID is ${done.storeId}.`, 'green');
  if (done.kept !== null) output.line(`The previous store is kept as ${done.kept}.`);
  output.line(
    'Keep the sidecars stopped until you have reviewed the tasks with outside effects (docs/moving.md, "Before sidecars connect").',
  );
  output.line(
    'Start the hub. It names sidecars that hold newer work than this store in its log, and `agentcom stats` counts their tasks as `of_another_store`.',
  );
}
