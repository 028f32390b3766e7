/**
 * `HubMetrics` for Prometheus. Each label takes values from a fixed set only: never a task, an agent, a path or text from a peer, so that
 * the number of series stays bounded, whatever is sent.
 */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import { tallyEvents, type AssignmentEnded, type Ended } from '../../core/domain/task/event-tally.ts';
import { PRIORITIES, STATUSES, type DeadReason } from '../../core/domain/task/task.ts';
import { RECLAIM_REASONS } from '../../core/domain/transitions/reclaim-reason.ts';
import type { HubMetrics, HubReading } from '../../core/ports/hub-metrics.ts';
import { FAILURE_KINDS } from '../../core/protocol/sidecar-frames.ts';
import { HTTP_ERRORS } from '../../core/protocol/http-errors.ts';
import { SOCKET_REFUSALS } from '../../core/protocol/close-codes.ts';
import { MESSAGE_FAILURES, NACK_REASONS, WIRE_ERRORS } from '../../core/protocol/hub-frames.ts';
import { METRICS, type MetricName } from './metric-table.ts';

/** The label value that replaces any other. */
const OTHER = 'other';
/** The maximum number of reasons of one refusal metric; further ones count as `other`. In practice there are fewer. */
const REASONS_MAX = 100;
/** Upper bounds, seconds: from a commit in memory to one that counts as stalled. */
const COMMIT_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Upper bounds: powers of 4, up to more commands than a batch can have. */
const BATCH_COMMANDS = [1, 4, 16, 64, 256, 1_024, 4_096];

const DEAD_REASONS = Object.keys({
  retries_spent: true,
  not_retryable: true,
  rejected: true,
  ttl: true,
  deadline: true,
} satisfies Record<DeadReason, true>);
const ENDED_REASONS: Readonly<Record<Ended['status'], readonly string[]>> = {
  completed: ['reported', 'adopted'],
  dead_letter: DEAD_REASONS,
  cancelled: ['operator'],
};
const RECLAIMS = Object.keys(RECLAIM_REASONS);
/** The possible reasons for each end of an assignment; `none` if it gives no reason. */
const END_REASONS: Readonly<Record<AssignmentEnded['how'], readonly string[]>> = {
  completed: ['none'],
  failed: FAILURE_KINDS,
  rejected: ['none'],
  released: ['none'],
  reclaimed: RECLAIMS,
  lost: RECLAIMS,
  cancelled: ['none'],
  deadline: ['none'],
};
const FRAME_ERRORS = [
  ...new Set([...WIRE_ERRORS, ...NACK_REASONS, 'replaced_session', 'generation_too_far']),
  ...MESSAGE_FAILURES.map((failure) => `message_failed: ${failure}`),
];
const REQUEUING = ['failed', 'rejected', 'released', 'reclaimed', 'lost'] as const satisfies readonly AssignmentEnded['how'][];
/** Default metrics that are not counters, although their names say so to Prometheus. Other metrics have the same values. */
const MISNAMED = ['nodejs_active_handles_total', 'nodejs_active_requests_total', 'nodejs_active_resources_total'];

/** The sampling interval of the event loop delay, milliseconds. Each sample wakes the process, so a shorter one makes an idle hub cost more. */
const LAG_SAMPLED_MS = 50;

export interface PromMetricsOptions {
  /** Whether the metrics of the process (memory, CPU, garbage collection) are added. Default: true. */
  readonly ofProcess?: boolean | undefined;
}

export function promMetrics({ ofProcess = true }: PromMetricsOptions = {}): HubMetrics {
  const registry = new Registry();
  const about = (name: MetricName) => ({ name, help: METRICS[name].help, labelNames: [...METRICS[name].labels], registers: [registry] });
  const counter = (name: MetricName) => new Counter<string>(about(name));
  const gauge = (name: MetricName) => new Gauge<string>(about(name));
  const histogram = (name: MetricName, buckets: readonly number[]) => new Histogram<string>({ ...about(name), buckets: [...buckets] });

  const tasks = gauge('agentcom_tasks');
  const queued = gauge('agentcom_queued_tasks');
  const oldestReady = gauge('agentcom_oldest_ready_seconds');
  const storeUp = gauge('agentcom_store_up');
  const submitted = counter('agentcom_tasks_submitted_total');
  const ended = counter('agentcom_tasks_ended_total');
  const requeued = counter('agentcom_tasks_requeued_total');
  const assigned = counter('agentcom_assignments_total');
  const assignmentsEnded = counter('agentcom_assignments_ended_total');
  const fenced = counter('agentcom_reports_fenced_total');
  const frames = counter('agentcom_frames_refused_total');
  const refusedSockets = counter('agentcom_sockets_refused_total');
  const refusedRequests = counter('agentcom_requests_refused_total');
  const requests = counter('agentcom_http_requests_total');
  const commitSeconds = histogram('agentcom_commit_duration_seconds', COMMIT_SECONDS);
  const batchCommands = histogram('agentcom_batch_commands', BATCH_COMMANDS);
  const storageFailures = counter('agentcom_storage_failures_total');
  const waiting = gauge('agentcom_commands_waiting');
  const sockets = gauge('agentcom_sockets');
  const agents = gauge('agentcom_agents');
  const slots = gauge('agentcom_slots');
  const loopDelay = gauge('agentcom_loop_delay_seconds');
  const certificateExpires = gauge('agentcom_tls_certificate_expires_seconds');
  // Its initial value of 0 would mean that a certificate expires now.
  certificateExpires.remove();
  const build = gauge('agentcom_build_info');

  // Present from the start: an increase from nothing to 1 is invisible to `rate`.
  for (const [status, reasons] of Object.entries(ENDED_REASONS)) for (const reason of reasons) ended.inc({ status, reason }, 0);
  for (const [how, reasons] of Object.entries(END_REASONS)) for (const reason of reasons) assignmentsEnded.inc({ how, reason }, 0);
  for (const how of REQUEUING) requeued.inc({ how }, 0);
  if (ofProcess) {
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LAG_SAMPLED_MS });
    for (const name of MISNAMED) registry.removeSingleMetric(name);
  }

  /** Sets a counter to sums that are kept elsewhere. */
  const copy = (to: Counter<string>, label: string, sums: Readonly<Record<string, number>>, known: readonly string[] = []): void => {
    to.reset();
    for (const value of known) to.inc({ [label]: value }, 0);
    for (const [index, [value, sum]] of Object.entries(sums).entries()) to.inc({ [label]: index < REASONS_MAX ? value : OTHER }, sum);
  };

  const take = ({ store, load, refused, loopDelayMs, certificateExpiresInMs, version }: HubReading): void => {
    storeUp.set(store === null ? 0 : 1);
    for (const one of [tasks, queued, oldestReady]) one.reset();
    if (store !== null) {
      for (const status of STATUSES) tasks.set({ status }, store.statuses[status]);
      for (const priority of PRIORITIES) {
        queued.set({ priority }, store.queuedByPriority[priority]);
        oldestReady.set({ priority }, store.oldestReadyMs[priority] / 1_000);
      }
    }
    for (const [status, count] of Object.entries(load.agents)) agents.set({ status }, count);
    slots.set({ state: 'taken' }, load.slots.taken);
    slots.set({ state: 'free' }, Math.max(0, load.slots.all - load.slots.taken));
    for (const [state, count] of Object.entries(load.sockets)) sockets.set({ state }, count);
    waiting.set(load.commandsWaiting);
    loopDelay.set(loopDelayMs / 1_000);
    if (certificateExpiresInMs !== null) certificateExpires.set(certificateExpiresInMs / 1_000);
    build.set({ version }, 1);
    copy(frames, 'code', refused.frames, FRAME_ERRORS);
    copy(refusedSockets, 'reason', refused.sockets, SOCKET_REFUSALS);
    copy(refusedRequests, 'code', refused.requests, Object.keys(HTTP_ERRORS));
    fenced.reset();
    fenced.inc(refused.frames['stale_generation'] ?? 0);
  };

  return {
    committed({ commands, events, tookMs }) {
      commitSeconds.observe(tookMs / 1_000);
      batchCommands.observe(commands);
      if (events.length === 0) return;
      const tally = tallyEvents(events);
      if (tally.submitted > 0) submitted.inc(tally.submitted);
      if (tally.assigned > 0) assigned.inc(tally.assigned);
      for (const { status, reason, count } of tally.ended) ended.inc({ status, reason: among(ENDED_REASONS[status], reason) }, count);
      for (const { how, reason, count, requeued: isBack } of tally.assignmentsEnded) {
        assignmentsEnded.inc({ how, reason: reason === null ? 'none' : among(END_REASONS[how], reason) }, count);
        if (isBack) requeued.inc({ how }, count);
      }
    },
    storageFailed: () => storageFailures.inc(),
    requestAnswered({ route, status }) {
      requests.inc({ method: route?.method ?? OTHER, route: route?.path ?? OTHER, status: String(status) });
    },
    async expose(reading) {
      take(reading);
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}

const among = (known: readonly string[], value: unknown): string => (typeof value === 'string' && known.includes(value) ? value : OTHER);
