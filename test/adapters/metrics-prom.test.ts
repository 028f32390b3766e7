/** The metrics in Prometheus format: the contract, and what each event increments. */
import t from 'tap';
import { METRICS } from '../../adapters/metrics-prom/metric-table.ts';
import { promMetrics } from '../../adapters/metrics-prom/prom-metrics.ts';
import { tallyEvents } from '../../core/domain/task/event-tally.ts';
import type { TaskEvent } from '../../core/domain/task/event.ts';
import { SOCKET_REFUSALS } from '../../core/protocol/close-codes.ts';
import { HTTP_ERRORS } from '../../core/protocol/http-errors.ts';
import { anAgentId, anEvent } from '../product/contracts/fixtures.ts';
import { hubMetricsContract, READING } from '../product/contracts/hub-metrics.contract.ts';

hubMetricsContract(
  'prom-client',
  {
    fresh: () => promMetrics({ ofProcess: false }),
    deadLettered: (count) => `agentcom_tasks_ended_total{status="dead_letter",reason="retries_spent"} ${count}\n`,
  },
  t,
);

const tally = (...events: readonly Partial<TaskEvent>[]) =>
  tallyEvents(events.map((event, index) => anEvent({ seq: index + 1, ...event })));

t.test('a failed attempt counts as requeued unless it dead-letters the task', (t) => {
  const failed = { event: 'failed', details: { kind: 'silent', retry_at: 5 } } as const;
  const dead = { event: 'dead_lettered', details: { reason: 'retries_spent' } } as const;
  const end = { how: 'failed', reason: 'silent' } as const;
  t.strictSame(tally(failed).assignmentsEnded, [{ ...end, requeued: true, count: 1 }]);
  t.strictSame(tally(failed, dead).assignmentsEnded, [{ ...end, requeued: false, count: 1 }]);
  t.strictSame(
    tally(failed, { ...dead, seq: 3 }).assignmentsEnded,
    [{ ...end, requeued: true, count: 1 }],
    'requeued first, dead-lettered later',
  );
  t.end();
});

t.test('the ends of tasks and of assignments are counted by reason', (t) => {
  const all = tally(
    { event: 'submitted' },
    { event: 'assigned' },
    { event: 'completed' },
    { event: 'adopted' },
    { event: 'completed' },
    { event: 'cancelled', agentId: null },
    { event: 'cancelled', agentId: anAgentId() },
    { event: 'dead_lettered', details: { reason: 'deadline' } },
    { event: 'stop_requested', details: { reason: 'deadline' } },
    { event: 'stop_requested', details: { reason: 'reclaimed' } },
    { event: 'rejected' },
    { event: 'progress' },
  );
  t.strictSame([all.submitted, all.assigned], [1, 1]);
  t.strictSame(
    all.ended.map(({ status, reason, count }) => `${count} ${status} ${String(reason)}`),
    ['1 completed reported', '1 completed adopted', '2 cancelled operator', '1 dead_letter deadline'],
  );
  t.strictSame(
    all.assignmentsEnded.map(({ how, requeued }) => `${how} ${requeued}`),
    ['completed false', 'cancelled false', 'deadline false', 'rejected true'],
  );
  t.end();
});

t.test('a label never names a task, an agent or a session', (t) => {
  const labels = Object.values(METRICS).flatMap(({ labels }): readonly string[] => labels);
  const bounded = ['status', 'priority', 'reason', 'how', 'code', 'method', 'route', 'state', 'version'];
  t.strictSame(
    labels.filter((label) => !bounded.includes(label)),
    [],
  );
  t.end();
});

t.test('a counter with known reasons has a series for each before the first refusal', async (t) => {
  const { text } = await promMetrics({ ofProcess: false }).expose(READING);
  const zero = (name: string, label: string): string[] =>
    [...text.matchAll(new RegExp(`^${name}\\{${label}="([^"]+)"\\} 0$`, 'gm'))].map(([, value = '']) => value);
  t.strictSame(zero('agentcom_sockets_refused_total', 'reason'), [...SOCKET_REFUSALS]);
  t.strictSame(zero('agentcom_requests_refused_total', 'code'), Object.keys(HTTP_ERRORS));
  for (const code of ['invalid_token', 'replaced_session', 'generation_too_far', 'message_failed: too_large'])
    t.ok(zero('agentcom_frames_refused_total', 'code').includes(code), code);
});
