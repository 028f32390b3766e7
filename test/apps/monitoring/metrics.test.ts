/**
 * The metrics of a running hub: the values after real tasks, and that the page, the dashboard and the alert rules name
 * existing metrics.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { METRICS } from '../../../adapters/metrics-prom/metric-table.ts';
import { ROOT } from '../../architecture/cruise.ts';
import { runningHub } from '../running-hub.ts';
import { runTasks } from './real-tasks.ts';
import { metricsIn, namedIn, scrapeOf } from './scrape.ts';

const page = (name: string): Promise<string> => readFile(join(ROOT, 'docs', name), 'utf8');

t.test('a scrape reports what happened to the tasks of this hub', async (t) => {
  const hub = await runningHub();
  t.teardown(() => hub.stop());
  await runTasks(hub);
  const text = await hub.api.metrics();
  const figures = scrapeOf(text);
  const wanted: Readonly<Record<string, number>> = {
    agentcom_store_up: 1,
    agentcom_tasks_submitted_total: 5,
    agentcom_assignments_total: 4,
    'agentcom_tasks{status="completed"}': 1,
    'agentcom_tasks{status="queued"}': 2,
    'agentcom_queued_tasks{priority="urgent"}': 1,
    'agentcom_tasks_ended_total{status="completed",reason="reported"}': 1,
    'agentcom_tasks_ended_total{status="dead_letter",reason="retries_spent"}': 1,
    'agentcom_tasks_ended_total{status="cancelled",reason="operator"}': 1,
    'agentcom_assignments_ended_total{how="failed",reason="agent_failed"}': 1,
    'agentcom_assignments_ended_total{how="rejected",reason="none"}': 1,
    'agentcom_tasks_requeued_total{how="rejected"}': 1,
    'agentcom_tasks_requeued_total{how="failed"}': 0,
    agentcom_reports_fenced_total: 1,
    'agentcom_frames_refused_total{code="stale_generation"}': 1,
    'agentcom_frames_refused_total{code="invalid_token"}': 0,
    'agentcom_sockets{state="identified"}': 1,
    'agentcom_slots{state="free"}': 1,
    'agentcom_http_requests_total{method="POST",route="/api/tasks",status="201"}': 5,
    'agentcom_http_requests_total{method="POST",route="/api/tasks/:id/cancel",status="200"}': 1,
  };
  for (const [series, value] of Object.entries(wanted)) t.equal(figures.get(series), value, series);
  t.ok((figures.get('agentcom_oldest_ready_seconds{priority="urgent"}') ?? 0) > 0, 'the urgent task waits');
  t.equal(figures.get('agentcom_oldest_ready_seconds{priority="high"}'), 0);
  const commits = figures.get('agentcom_commit_duration_seconds_count') ?? 0;
  t.ok(commits > 10, `${commits} commits`);
  t.equal(figures.get('agentcom_commit_duration_seconds_bucket{le="+Inf"}'), commits);
  t.equal(figures.get('agentcom_batch_commands_count'), commits);
  t.ok((figures.get('process_resident_memory_bytes') ?? 0) > 1e6, 'and the process');
  t.ok(text.length < 65_536, `${text.length} characters`);

  const there = metricsIn(text);
  t.strictSame(there.filter((name) => name.startsWith('agentcom_')).sort(), Object.keys(METRICS).sort(), 'each metric of the table');
  for (const file of ['monitoring/board.json', 'monitoring/alerts.yml', 'monitoring.md']) {
    const named = namedIn(await page(file));
    t.ok(named.length > 9, `${file} names ${named.length}`);
    t.strictSame(named.filter((name) => !there.includes(name)), [], `${file} names existing metrics`); // prettier-ignore
  }
});

t.test('docs/monitoring.md lists every metric as defined in code', async (t) => {
  const rows = [...(await page('monitoring.md')).matchAll(/^\| `(agentcom_\w+)` \| (\w+) \| ([^|]*) \| ([^|]+) \|$/gm)];
  const received = rows.map(([, name = '', type, labels = '', help]) => [name, { type, labels: labels.replaceAll('`', '').trim(), help }]);
  const wanted = Object.entries(METRICS).map(([name, { type, labels, help }]) => [name, { type, labels: labels.join(', '), help }]);
  t.strictSame(Object.fromEntries(received), Object.fromEntries(wanted));
  t.equal(received.length, wanted.length, 'each once');
});

t.test('every alert explains what to do', async (t) => {
  const rules = (await page('monitoring/alerts.yml')).split('- alert: ').slice(1);
  t.ok(rules.length > 9);
  for (const rule of rules) t.match(rule, /annotations:\n +summary: [\s\S]+action: /, rule.split('\n')[0] ?? '');
  const named = [...(await page('monitoring.md')).matchAll(/^\| `(Agentcom\w+)` \|/gm)].map(([, name]) => name);
  t.strictSame(named, rules.map((rule) => rule.split('\n')[0]), 'and is on the page'); // prettier-ignore
});
