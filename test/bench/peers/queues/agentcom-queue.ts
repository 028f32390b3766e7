/** AgentCom: submits through the typed client. */
import { hubClient } from '../../../../apps/client/index.ts';
import { agentcomWorker, type AgentcomSettings } from './agentcom-worker.ts';
import type { Payload, Queue } from './queue.ts';

export async function open(settings: AgentcomSettings, payloadOf: (n: number) => Payload): Promise<Queue> {
  const hub = hubClient({ url: `http://127.0.0.1:${settings.port}`, token: settings.token });
  const task = (n: number) => ({ description: `task ${n}`, metadata: { ...payloadOf(n) } });
  return {
    submit: async (n) => void (await hub.tasks.submit(task(n))),
    submitMany: async (first, count) => void (await hub.tasks.submitMany(Array.from({ length: count }, (_, k) => task(first + k)))),
    worker: (onCompleted) => agentcomWorker(hub, settings, onCompleted),
    async counts() {
      const stats = await hub.tasks.stats();
      const numberOf = (status: string): number => Number(stats[status] ?? 0);
      return {
        unfinished: ['blocked', 'scheduled', 'queued', 'assigned', 'accepted', 'dead_letter', 'cancelled']
          .map(numberOf)
          .reduce((a, b) => a + b),
        completed: numberOf('completed'),
      };
    },
    close: async () => undefined,
  };
}
