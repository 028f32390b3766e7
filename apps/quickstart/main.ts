/**
 * The first minute: a hub, two sidecars and real agent processes; tasks of several priorities, one that fails, one that is cancelled, and a
 * sidecar that is killed in the middle of a task. Everything runs as users run it, in data/quickstart.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join, relative } from 'node:path';
import { hubClient, type HubClient } from '../client/index.ts';
import { EXIT_INTERRUPTED } from '../cli/exit-codes.ts';
import type { Output } from '../cli/output/output.ts';
import { AgentcomError } from '../../core/errors/agentcom-error.ts';
import { PACKAGE_ROOT } from '../package-root.ts';
import { liveLog, type LiveEvent } from './account.ts';
import { configText, type StorageName, type TransportName } from './config-text.ts';
import { follow, outcomes, submitAll, type DirectorDeps, type Outcome } from './director.ts';
import { endWork } from './end-work.ts';
import { freshFolder } from './folder.ts';
import { ownPostgres, type OwnPostgres } from './own-postgres.ts';
import { POSTGRES_COMMAND, startProgram, type Program, type ProgramPlace } from './child-programs.ts';
import { AGENTS, type AgentName } from './scenario.ts';

export interface QuickstartOptions {
  /** Leave it running for the reader to submit to, until Ctrl-C. */
  readonly stay: boolean;
  readonly storage: StorageName;
  readonly transport: TransportName;
  readonly output: Output;
}

/** How long until every task must have ended, milliseconds. */
const ALL_WITHIN_MS = 35_000;
/** How long the killed sidecar stays dead, so that people can see that its agent continues. */
const DEAD_FOR_MS = 1_500;

/** Returns the exit code: 0 if every task ended as expected, 130 if interrupted. */
export async function runQuickstart({ stay, storage, transport, output }: QuickstartOptions): Promise<number> {
  const show = liveLog(output, performance.now());
  const folder = freshFolder();
  show({ agent: '-', task: '-', what: `starting a hub and two sidecars in ${shown(folder)}` });
  const port = await freePort();
  const postgres = storage === 'postgres' ? await ownPostgres(folder, await freePort()) : null;
  const place: ProgramPlace = { bin: join(PACKAGE_ROOT, 'apps/cli/bin.mjs'), folder, configFile: join(folder, 'agentcom.config.ts') };
  writeFileSync(place.configFile, configText({ port, storage, transport, databaseUrl: postgres?.url ?? '', packageRoot: PACKAGE_ROOT }), {
    mode: 0o600,
  });
  const programs = new Programs({ place, storage, transport, postgres, show });
  const interrupted = interruption(() => show({ agent: '-', task: '-', what: 'interrupted: stopping everything' }));
  const over = new AbortController();
  interrupted.signal.addEventListener('abort', () => over.abort(), { once: true });
  // An explicit timer, because the signal of `AbortSignal.timeout` can be garbage-collected early.
  let timer: NodeJS.Timeout | undefined;
  try {
    const hub = await programs.startAll();
    if (interrupted.signal.aborted) return EXIT_INTERRUPTED;
    timer = setTimeout(() => over.abort(), ALL_WITHIN_MS);
    const deps: DirectorDeps = {
      hub,
      show,
      signal: over.signal,
      killSidecar: (agentId, task) => programs.killAndRestart(agentId as AgentName, task),
    };
    const ids = await submitAll(deps);
    await follow(deps, ids);
    if (interrupted.signal.aborted) return EXIT_INTERRUPTED;
    const all = await outcomes(hub, ids);
    if (!stay) await programs.stopAll();
    const kept = postgres?.isKept === false ? 'config and logs' : 'config, logs and database';
    show({ agent: '-', task: '-', what: `done; ${kept} are in ${shown(folder)}` });
    summary(output, all);
    if (stay) await stayUntilInterrupted(output, hub, place, interrupted.signal);
    return all.every((one) => one.got === one.task.expected) ? 0 : 1;
  } finally {
    clearTimeout(timer);
    interrupted.forget();
    await programs.stopAll();
  }
}

/** The path as the reader would type it. */
const shown = (path: string): string => relative(process.cwd(), path);

interface ProgramsOptions extends Pick<QuickstartOptions, 'storage' | 'transport'> {
  readonly place: ProgramPlace;
  /** The hub's database server; null if it needs none. */
  readonly postgres: OwnPostgres | null;
  readonly show: (event: LiveEvent) => void;
}

/** What runs, and how it is started, killed and stopped. */
class Programs {
  readonly #options: ProgramsOptions;
  readonly #show: (event: LiveEvent) => void;
  readonly #running = new Map<string, Program>();
  #database: Program | null = null;
  #hub: HubClient | null = null;

  constructor(options: ProgramsOptions) {
    this.#options = options;
    this.#show = options.show;
  }

  async startAll(): Promise<HubClient> {
    const { place, postgres } = this.#options;
    if (postgres !== null) {
      this.#show({ agent: '-', task: '-', what: 'creating and starting a Postgres server' });
      this.#database = await startProgram(place, POSTGRES_COMMAND, 'postgres', postgres.env);
    }
    const hub = await this.#start('hub');
    const token = readFileSync(join(place.folder, 'hub/admin-token'), 'utf8').trim();
    this.#hub = hubClient({ url: hub.ready.split(' ').at(-1) ?? '', token });
    await this.#requireWhatWasAsked(this.#hub);
    const starts = (Object.keys(AGENTS) as AgentName[]).map(async (agent) => {
      await this.#start(agent);
      this.#show({ agent, task: '-', what: `sidecar connected; capabilities: ${AGENTS[agent].join(', ')}` });
    });
    // Wait for all, so that one that is still starting when another fails can be stopped.
    await Promise.allSettled(starts);
    await Promise.all(starts);
    return this.#hub;
  }

  async killAndRestart(agent: AgentName, task: string): Promise<void> {
    await this.#running.get(agent)?.kill();
    this.#show({ agent, task, what: 'kill -9 of its sidecar in the middle of the task; the agent process continues', event: 'failed' });
    await new Promise<void>((resolve) => setTimeout(resolve, DEAD_FOR_MS));
    await this.#start(agent);
    this.#show({ agent, task, what: 'its sidecar is running again and has adopted the run' });
  }

  /** Agents first, because they outlive their sidecars; then sidecars, hub and database. May be called again. */
  async stopAll(): Promise<void> {
    const [running, database, hub] = [[...this.#running], this.#database, this.#hub];
    this.#running.clear();
    this.#database = null;
    this.#hub = null;
    try {
      const agents = running.map(([name]) => name).filter((name) => name !== 'hub');
      const busy = hub === null ? [] : await endWork(hub, agents);
      for (const agent of busy) this.#show({ agent, task: '-', what: 'its agent process could not be stopped' });
    } finally {
      await Promise.all(running.map(([, program]) => program.stop()));
      await database?.stop();
      await this.#options.postgres?.clear();
    }
  }

  /** Prints the storage and the transport that the hub reports, which must be those that the command line chose. */
  async #requireWhatWasAsked(hub: HubClient): Promise<void> {
    const { storage, transport } = this.#options;
    const says = await hub.health();
    const found = `${String(says['storage'])} and ${String(says['transport'])}`;
    this.#show({ agent: '-', task: '-', what: `the hub is listening and runs on ${found}` });
    if (found !== `${storage} and ${transport}`)
      throw new AgentcomError('AC_INTERNAL', `The hub runs on ${found}, expected ${storage} and ${transport}.`);
  }

  async #start(name: AgentName | 'hub'): Promise<Program> {
    const { place } = this.#options;
    const program =
      name === 'hub' ? await startProgram(place, 'hub', 'hub') : await startProgram(place, 'sidecar', name, { AGENTCOM_AGENT_ID: name });
    this.#running.set(name, program);
    return program;
  }
}

function summary(output: Output, all: readonly Outcome[]): void {
  output.line('');
  output.table<Outcome>(
    [
      { title: 'TASK', cell: ({ task }) => task.name },
      { title: 'ID', cell: ({ id }) => id },
      { title: 'AGENT', cell: ({ agent }) => agent },
      { title: 'ATTEMPTS', cell: ({ attempts }) => String(attempts) },
      { title: 'EXPECTED', cell: ({ task }) => task.expected },
      { title: 'GOT', cell: ({ got }) => got },
    ],
    all,
  );
  output.data(all.map(({ task, id, agent, attempts, got }) => ({ task: task.name, id, agent, attempts, expected: task.expected, got })));
}

async function stayUntilInterrupted(output: Output, hub: HubClient, place: ProgramPlace, signal: AbortSignal): Promise<void> {
  const configFile = shown(place.configFile);
  output.block(`
It keeps running at ${hub.url} until Ctrl-C. In another terminal:
  npx agentcom submit "Count the samples" --wait --config ${configFile}
  npx agentcom list --config ${configFile}
`);
  if (!signal.aborted) await once(signal, 'abort');
}

/** Aborted by Ctrl-C or SIGTERM, so that everything that was started is stopped. */
function interruption(onInterrupt: () => void): { readonly signal: AbortSignal; forget(): void } {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (!controller.signal.aborted) onInterrupt();
    controller.abort();
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    forget: () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal),
  };
}

/** A port that is free now; the hub fails if it is taken in the meantime. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
