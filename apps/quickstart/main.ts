/**
 * The first minute: a hub, two sidecars and real agent processes; tasks of several priorities, one that fails, one that is
 * cancelled, and a sidecar that is killed in the middle of a task. Everything runs as people run it, in data/quickstart.
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { hubClient, type HubClient } from '../client/index.ts';
import type { Output } from '../cli/output/output.ts';
import { PACKAGE_ROOT } from '../package-root.ts';
import { accountOf, type Happening } from './account.ts';
import { configText } from './config-text.ts';
import { follow, outcomes, submitAll, type DirectorDeps, type Outcome } from './director.ts';
import { freshFolder } from './folder.ts';
import { startProgram, type Program, type ProgramPlace } from './programs.ts';
import { AGENTS, type AgentName } from './scenario.ts';

export interface QuickstartOptions {
  /** Leave it running for the reader to submit to, until Ctrl-C. */
  readonly stay: boolean;
  readonly output: Output;
}

/** By when every task must have ended, milliseconds. */
const ALL_WITHIN_MS = 35_000;
/** How long the killed sidecar stays dead, so that people can see that its agent goes on. */
const DEAD_FOR_MS = 1_500;

/** Answers the exit code: 0 when every task ended as it should. */
export async function runQuickstart({ stay, output }: QuickstartOptions): Promise<number> {
  const sinceMs = performance.now();
  const tell = accountOf(output, sinceMs);
  const folder = freshFolder();
  const port = await freePort();
  const place: ProgramPlace = { bin: join(PACKAGE_ROOT, 'apps/cli/bin.mjs'), folder, configFile: join(folder, 'agentcom.config.ts') };
  writeFileSync(place.configFile, configText({ port, packageRoot: PACKAGE_ROOT }));
  const programs = new Programs(place, tell);
  const interrupted = interruption();
  try {
    const hub = await programs.startAll();
    const signal = AbortSignal.any([AbortSignal.timeout(ALL_WITHIN_MS), interrupted.signal]);
    const deps: DirectorDeps = { hub, tell, signal, killSidecar: (agentId, task) => programs.killAndRestart(agentId as AgentName, task) };
    const ids = await submitAll(deps);
    await follow(deps, ids);
    const all = await outcomes(hub, ids);
    if (stay) await stayUntilInterrupted(output, hub, place, interrupted.signal);
    await programs.stopAll();
    summary(output, all);
    return all.every((one) => one.got === one.task.expected) ? 0 : 1;
  } finally {
    interrupted.forget();
    await programs.stopAll();
  }
}

/** What runs, and how it is started, killed and stopped. */
class Programs {
  readonly #place: ProgramPlace;
  readonly #tell: (happening: Happening) => void;
  readonly #running = new Map<string, Program>();

  constructor(place: ProgramPlace, tell: (happening: Happening) => void) {
    this.#place = place;
    this.#tell = tell;
  }

  async startAll(): Promise<HubClient> {
    const hub = await this.#start('hub');
    this.#tell({ agent: '-', task: '-', what: `the hub listens, its tasks are in ${join(this.#place.folder, 'hub/agentcom.db')}` });
    await Promise.all(
      (Object.keys(AGENTS) as AgentName[]).map(async (agent) => {
        await this.#start(agent);
        this.#tell({ agent, task: '-', what: `its sidecar is connected; it can do: ${AGENTS[agent].join(', ')}` });
      }),
    );
    const token = readFileSync(join(this.#place.folder, 'hub/admin-token'), 'utf8').trim();
    return hubClient({ url: hub.ready.split(' ').at(-1) ?? '', token });
  }

  async killAndRestart(agent: AgentName, task: string): Promise<void> {
    await this.#running.get(agent)?.kill();
    this.#tell({ agent, task, what: 'kill -9 of its sidecar, in mid-task; the agent process goes on', event: 'failed' });
    await new Promise<void>((resolve) => setTimeout(resolve, DEAD_FOR_MS));
    await this.#start(agent);
    this.#tell({ agent, task, what: 'its sidecar runs again, and takes up the run where it is' });
  }

  async stopAll(): Promise<void> {
    const running = [...this.#running.values()];
    this.#running.clear();
    await Promise.all(running.map((program) => program.stop()));
  }

  async #start(name: AgentName | 'hub'): Promise<Program> {
    const program =
      name === 'hub'
        ? await startProgram(this.#place, 'hub', 'hub')
        : await startProgram(this.#place, 'sidecar', name, { AGENTCOM_AGENT_ID: name });
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

async function stayUntilInterrupted(output: Output, hub: HubClient, { configFile }: ProgramPlace, signal: AbortSignal): Promise<void> {
  const command = `npm run agentcom -- submit "Count the samples" --wait --config ${configFile}`;
  output.block(
    `\nIt stays running at ${hub.url} until Ctrl-C. In another terminal:\n  ${command}\n  npm run agentcom -- list --config ${configFile}\n`,
  );
  if (!signal.aborted) await once(signal, 'abort');
}

/** Aborted by Ctrl-C or SIGTERM, so that everything that was started is stopped. */
function interruption(): { readonly signal: AbortSignal; forget(): void } {
  const controller = new AbortController();
  const onSignal = (): void => controller.abort();
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  return {
    signal: controller.signal,
    forget: () => void process.off('SIGINT', onSignal).off('SIGTERM', onSignal),
  };
}

/** A port that is free now; the hub says so if it is not any more. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
