/**
 * The subject of `wakeRunnerContract` for a runner that calls a service: one on loopback, which starts the fake agent
 * when it is called.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { WakeRequest, WakeRunner } from '../../core/ports/wake-runner.ts';
import type { WakeRunnerDeps } from '../../plugins/plugin.ts';
import type { RunnerWorld, WakeRunnerSubject } from '../product/contracts/runner/wake-runner-subject.ts';
import { FAKE_AGENT } from '../product/contracts/runner/process-subject.ts';
import { atWork, carriersOf, endAgent, runWorld } from './run-world.ts';

const TASK_ID = /task-[0-9a-f]+/;

type MakeRunner = (url: string, deps: WakeRunnerDeps) => WakeRunner | Promise<WakeRunner>;

/** `runner` creates one that calls this address. */
export const webhookSubject = (runner: MakeRunner): WakeRunnerSubject => ({ follows: 'nothing', world: () => webhookWorld(runner) });

async function webhookWorld(runner: MakeRunner): Promise<RunnerWorld> {
  const world = await runWorld();
  const { baseDir } = world;
  const deps: WakeRunnerDeps = { agentId: 'agent-1', baseDir, dataDir: baseDir, clock: systemClock(), log: silentLog };
  const requests: WakeRequest[] = [];
  /** By the key with which the caller names each call: a repeated call wakes nothing. */
  const woken = new Map<string, ChildProcess>();

  const wake = (name: string, body: string): boolean => {
    const [taskId] = TASK_ID.exec(body) ?? [];
    const request = requests.find((each) => each.taskId === taskId);
    if (request === undefined) return false;
    if (woken.has(name)) return true;
    const env = { AGENTCOM_RUN_ID: request.runId, AGENTCOM_TASK_ID: request.taskId, AGENTCOM_RESULTS_DIR: request.resultsDir };
    woken.set(name, spawn('sh', [FAKE_AGENT, 'works', baseDir], { env: { PATH: process.env['PATH'], ...env }, stdio: 'ignore' }));
    return true;
  };
  const server = createServer((call, response) => {
    let body = '';
    call.on('data', (chunk) => (body += String(chunk)));
    call.on('end', () => {
      const isThere = call.url === '/works' && wake(String(call.headers['idempotency-key']), body);
      response.writeHead(isThere ? 202 : 404).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  return {
    runner: async (behavior) => runner(`http://127.0.0.1:${String(port)}/${behavior}`, deps),
    async request(description) {
      const request = await world.request(description === undefined ? undefined : { description });
      requests.push(request);
      return request;
    },
    settle: (promise) => promise,
    atWork,
    async endAgent(request) {
      const agents = [...woken.values()].filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
      const ended = Promise.all(agents.map((agent) => once(agent, 'exit')));
      await endAgent(request);
      await ended;
    },
    livingOf: (runId) => Promise.resolve(carriersOf(runId)),
    async close() {
      server.closeAllConnections();
      server.close();
      await world.close();
    },
  };
}
