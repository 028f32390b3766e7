/** The page of `agentcom top` as a function of the known state, the size of the terminal and the time. */
import t from 'tap';
import { timesIn } from '../../../apps/cli/output/time-text.ts';
import { topPage, type PageSize, type TopView } from '../../../apps/cli/top/top-page.ts';
import type { AgentJson, TaskDetail, TaskJson } from '../../../apps/client/index.ts';
import { taskJson } from '../cli/cli-world.ts';

const NOW_MS = Date.UTC(2026, 2, 1, 12, 0, 0);
const times = timesIn(true);

const agent = (id: string, more: Partial<AgentJson> & Readonly<Record<string, unknown>> = {}): AgentJson => ({
  agent_id: id,
  name: id,
  status: 'idle',
  capabilities: [],
  slots: 2,
  connected: true,
  connected_at: NOW_MS,
  last_seen: NOW_MS,
  paused_reason: null,
  current_task: null,
  tasks: [],
  pending_stops: 0,
  ...more,
});
const taskId = (n: number): string => `task-${n.toString(16).padStart(8, '0').padEnd(32, '0')}`;
const held = (n: number) => ({ task_id: taskId(n), generation: 1, assigned_at: NOW_MS - 90_000 });
const task = (n: number, more: Readonly<Record<string, unknown>>): TaskDetail =>
  taskJson({ id: taskId(0xa0 + n), created_at: NOW_MS - 7_200_000, waiting_for: null, history: [], ...more }) as unknown as TaskDetail;

const lane = (queued: number, oldestReadyMs: number | null = null) => ({ queued, oldestReadyMs });
const VIEW: TopView = {
  url: 'http://127.0.0.1:4000',
  version: '0.1.0',
  connection: { kind: 'live' },
  state: {
    statuses: { queued: 3, assigned: 1, scheduled: 0, blocked: 0, dead_letter: 1, completed: 12, cancelled: 0 },
    queue: { urgent: lane(1, NOW_MS - 300_000), high: lane(0), normal: lane(2, NOW_MS - 5_000), low: lane(0) },
    agents: [
      agent('away', { status: 'offline', connected: false, last_seen: NOW_MS - 120_000 }),
      agent('idle'),
      agent('busy', { status: 'working', tasks: [held(1), held(2)] }),
      agent('sick', { status: 'paused', paused_reason: 'no login \u001b[2J' }),
    ],
    moreAgents: 0,
  },
  throughput: { coveredMs: 60_000, counts: { submitted: 5, completed: 4, failed: 1, dead_lettered: 0 } },
  attention: {
    deadLetters: [task(1, { status: 'dead_letter', last_error: 'exit code 7\nmore', retry_count: 4 }) as TaskJson],
    waiting: [
      task(2, { description: 'evil \u202e\u001b]0;x\u0007', waiting_for: { reason: 'capabilities', message: 'No agent has "gpu".' } }),
    ],
  },
  error: null,
};
const page = (view: TopView, size: PageSize): readonly string[] => topPage(view, size, times, NOW_MS).map(({ text }) => text);

t.test('80 by 24 fits everything, with faulty agents first and hostile text escaped', async (t) => {
  t.strictSame(page(VIEW, { columns: 80, rows: 24 }), [
    'agentcom top  http://127.0.0.1:4000  hub 0.1.0                live  12:00:00 UTC',
    'tasks        queued 3  assigned 1  scheduled 0  blocked 0  dead_letter 1',
    '             completed 12  cancelled 0',
    'queue        urgent 1 (oldest 5m)  high 0  normal 2 (oldest 5s)  low 0',
    'last minute  5 submitted  4 completed  1 failed  0 dead_lettered',
    '',
    'AGENT  STATUS   SLOTS  TASK                 AGE  REASON',
    'sick   paused   0/2    -                    -    no login \\e[2J',
    'busy   working  2/2    0000000100000000 +1  1m',
    'idle   idle     0/2    -                    -',
    'away   offline  0/2    -                    -    last seen 2m ago',
    '',
    ...page(VIEW, { columns: 80, rows: 24 }).slice(12, 15),
    'q quits, r reads again',
  ]);
  const [titles = '', dead = '', waits = ''] = page(VIEW, { columns: 80, rows: 24 }).slice(12);
  t.match(titles, /^TASK .*STATUS .*AGE {2}DESCRIPTION .*REASON$/);
  t.match(dead, /dead_letter .* exit code 7$/);
  t.match(waits, /queued .* evil \\u202e\\e\]0\S* +No agent has "gpu"\.$/);
});

t.test('an agent that never connected was not seen', async (t) => {
  const agents = [agent('new', { status: 'offline', connected: false, connected_at: null, last_seen: null })];
  const lines = page({ ...VIEW, state: { ...VIEW.state, agents, moreAgents: 0 } }, { columns: 80, rows: 24 });
  t.match(lines.join('\n'), /^new .* never connected$/m);
});

t.test('it fits any terminal, and shows the connection while there is a line for it', async (t) => {
  const agents = Array.from({ length: 60 }, (_, n) => agent(`agent-${n}`, { status: n === 59 ? 'paused' : 'working', tasks: [held(n)] }));
  const many: TopView = { ...VIEW, state: { ...VIEW.state, agents, moreAgents: 7 } };
  for (const view of [VIEW, many, { ...VIEW, attention: null, state: { ...VIEW.state, agents: [] } }])
    for (const columns of [1, 10, 20, 40, 60, 79, 80, 132, 250])
      for (const rows of [1, 2, 3, 5, 8, 12, 24, 50, 100]) {
        const lines = page(view, { columns, rows });
        t.ok(lines.length <= rows, `${columns}x${rows}: ${lines.length} lines`);
        for (const line of lines) t.ok([...line].length <= columns, `${columns}x${rows}: ${line}`);
        if (columns >= 20) t.match(lines[0], /live/);
      }
  const lines = page(many, { columns: 80, rows: 24 });
  t.equal(lines.length, 24, 'no room is wasted');
  t.match(lines.join('\n'), /agent-59 +paused/, 'the faulty agent is among the few shown');
  t.match(lines.join('\n'), /^… and \d+ more$/m);
  t.match(lines.join('\n'), /exit code 7[^]*No agent has/, 'and what needs attention too');
});

t.test('the header shows the state of the connection', async (t) => {
  const first = (more: Partial<TopView>): string => page({ ...VIEW, ...more }, { columns: 120, rows: 24 })[0] ?? '';
  t.match(first({ connection: { kind: 'connecting' } }), / connecting {2}12:00:00 UTC$/);
  t.match(first({ connection: { kind: 'behind', byMs: 12_000 } }), / behind by 12s {2}/);
  const why = 'connection refused \u001b[2J';
  t.match(
    first({ connection: { kind: 'cut', sinceMs: NOW_MS - 65_000, why } }),
    /cut off since 11:58:55, retrying: connection refused \\e\[2J/,
  );
  t.match(page({ ...VIEW, error: 'hub_busy' }, { columns: 80, rows: 24 })[1], /^cannot read the state: hub_busy$/);
  const known = { coveredMs: 12_000, counts: VIEW.throughput.counts };
  t.match(page({ ...VIEW, throughput: known }, { columns: 80, rows: 24 })[4], /^last 12s {5}5 submitted/);
});

t.test('without a terminal nothing is cut', async (t) => {
  const lines = page({ ...VIEW, connection: null }, { columns: undefined, rows: Infinity });
  t.ok(lines.some((line) => line.includes(taskId(1)) && line.includes('busy')));
  t.notOk(lines.some((line) => line.includes('q quits') || line.includes('…')));
});
