/** The hub, assembled as it always is, on a machine whose clock is off and with calls of other hubs that get lost on their way. */
import 'reflect-metadata';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { loadConfigFile } from '../../../apps/config/load.ts';
import { makeDataDir } from '../../../apps/data-dir.ts';
import { hubContainer } from '../../../apps/hub/main.ts';
import { hubServices } from '../../../apps/hub/services.ts';
import { programLog } from '../../../apps/program-log.ts';
import { runProgram } from '../../../apps/run-program.ts';
import { TOKENS } from '../../../apps/tokens.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { HubCalls } from '../../../core/ports/hub-calls.ts';

const [configFile] = process.argv.slice(2);
/** How far this hub's clock is off, milliseconds. */
const offsetMs = Number(process.env['CHAOS_CLOCK_OFFSET_MS'] ?? 0);
/** Which share of the calls is lost. */
const lostShare = Number(process.env['CHAOS_CALLS_LOST'] ?? 0);
const { config } = await loadConfigFile({ configFile });
if (config.hub === undefined) throw new Error(`${configFile}: no hub in it`);
const { hub } = config;
const log = programLog('hub');
await runProgram({
  log,
  start: async ({ lifecycle }) => {
    await makeDataDir(hub.dataDir, 'set hub.dataDir');
    const container = hubContainer(hub, log);
    container.rebind(TOKENS.Clock).toConstantValue(clockOff(systemClock(), offsetMs));
    const storage = await container.getAsync(TOKENS.Storage);
    container.rebind(TOKENS.Storage).toConstantValue({ ...storage, calls: lossy(storage.calls) });
    const outcome = await lifecycle.start(await hubServices(container));
    const { port } = await container.getAsync(TOKENS.HubWiring);
    return outcome === 'running' ? { ready: Promise.resolve(`agentcom hub ready http://127.0.0.1:${port}`) } : null;
  },
});

function clockOff(machine: Clock, byMs: number): Clock {
  return {
    nowMs: () => machine.nowMs() + byMs,
    monotonicMs: () => machine.monotonicMs(),
    after: (delayMs, fire) => machine.after(delayMs, fire),
  };
}

function lossy(calls: HubCalls): HubCalls {
  return {
    call: (look) => calls.call(look),
    listen: (heard) => calls.listen((look) => (Math.random() < lostShare ? undefined : heard(look))),
  };
}
