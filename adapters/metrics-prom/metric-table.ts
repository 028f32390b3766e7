/** Every metric of the hub. docs/monitoring.md has the same table, and a test compares the two. */

export interface MetricRow {
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** What it counts or measures, in one line. */
  readonly help: string;
  readonly labels: readonly string[];
}

export const METRICS = {
  agentcom_tasks: { type: 'gauge', labels: ['status'], help: 'Tasks in the store by status.' },
  agentcom_queued_tasks: { type: 'gauge', labels: ['priority'], help: 'Queued tasks in the store by priority.' },
  agentcom_oldest_ready_seconds: {
    type: 'gauge',
    labels: ['priority'],
    help: 'How long the longest-waiting ready task of each priority has been ready; 0 if none is ready.',
  },
  agentcom_store_up: {
    type: 'gauge',
    labels: [],
    help: '1 if the store answered this scrape within 3 s, else 0; the gauges of the store are then absent.',
  },
  agentcom_tasks_submitted_total: { type: 'counter', labels: [], help: 'Tasks submitted to this hub.' },
  agentcom_tasks_ended_total: { type: 'counter', labels: ['status', 'reason'], help: 'Tasks that ended, by status and reason.' },
  agentcom_tasks_requeued_total: {
    type: 'counter',
    labels: ['how'],
    help: 'Tasks that were requeued, by how their assignment ended.',
  },
  agentcom_assignments_total: { type: 'counter', labels: [], help: 'Assignments that this hub made.' },
  agentcom_assignments_ended_total: {
    type: 'counter',
    labels: ['how', 'reason'],
    help: 'Assignments that ended, by how and why: the kind of a failure, the reason of a reclaim.',
  },
  agentcom_reports_fenced_total: {
    type: 'counter',
    labels: [],
    help: 'Reports refused for their generation: they came from an assignment that was no longer valid.',
  },
  agentcom_frames_refused_total: { type: 'counter', labels: ['code'], help: 'Frames of sidecars that were refused, by error code.' },
  agentcom_sockets_refused_total: {
    type: 'counter',
    labels: ['reason'],
    help: 'WebSockets that were refused, or closed because of an error by the peer, by reason.',
  },
  agentcom_requests_refused_total: { type: 'counter', labels: ['code'], help: 'HTTP requests that were refused, by error code.' },
  agentcom_http_requests_total: {
    type: 'counter',
    labels: ['method', 'route', 'status'],
    help: 'HTTP requests that were answered. The route has parameter names instead of values.',
  },
  agentcom_commit_duration_seconds: {
    type: 'histogram',
    labels: [],
    help: 'Duration of committed batches from the start of the transaction, including retries.',
  },
  agentcom_batch_commands: { type: 'histogram', labels: [], help: 'Commands in a committed batch.' },
  agentcom_storage_failures_total: { type: 'counter', labels: [], help: 'Batches that the storage could not commit.' },
  agentcom_commands_waiting: { type: 'gauge', labels: [], help: 'Commands waiting for a batch.' },
  agentcom_sockets: {
    type: 'gauge',
    labels: ['state'],
    help: 'WebSockets of this hub: identified, unidentified, or waiting to be opened.',
  },
  agentcom_agents: { type: 'gauge', labels: ['status'], help: 'Agents that are connected to this hub, by status.' },
  agentcom_slots: { type: 'gauge', labels: ['state'], help: 'Slots of the agents that are connected to this hub: taken or free.' },
  agentcom_loop_delay_seconds: {
    type: 'gauge',
    labels: [],
    help: 'The longest delay of the event loop within the last one to two seconds.',
  },
  agentcom_tls_certificate_expires_seconds: {
    type: 'gauge',
    labels: [],
    help: "Seconds until the hub's certificate expires; absent if the hub does not serve TLS itself.",
  },
  agentcom_build_info: { type: 'gauge', labels: ['version'], help: 'Always 1; the version of this hub is in the label.' },
} as const satisfies Readonly<Record<`agentcom_${string}`, MetricRow>>;

export type MetricName = keyof typeof METRICS;
