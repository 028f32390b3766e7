/**
 * A process that wakes one agent like a sidecar, prints its mark and its outcome, and continues to listen until it is
 * killed, or, with `leaves`, ends by itself.
 */
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import { silentLog } from '../../core/ports/log.ts';
import type { WakeRequest } from '../../core/ports/wake-runner.ts';
import { command, type CommandOptions } from '../../plugins/command/index.ts';

interface WakeOrder {
  readonly options: CommandOptions;
  readonly request: WakeRequest;
  readonly baseDir: string;
  readonly leaves: boolean;
}
const { options, request, baseDir, leaves } = JSON.parse(process.argv[2] ?? '') as WakeOrder;
const runner = await command(options).create({ agentId: request.agentId, baseDir, dataDir: baseDir, clock: systemClock(), log: silentLog });
for await (const event of runner.wake(request, new AbortController().signal)) {
  if (event.type === 'spawned') console.log(JSON.stringify(event.process));
  else if (leaves) break;
  else if (event.type === 'completed' || event.type === 'failed') console.log(JSON.stringify(event));
}
