/** Whether the agent could run: the checks of its runner, this machine's clock, its disk, and when the hub is told. */
import t from 'tap';
import { virtualClock } from '../../product/twins/clock-virtual/virtual-clock.ts';
import { checkText } from '../../../core/application/sidecar/health/checks.ts';
import { runChecks } from '../../../core/application/sidecar/health/run-checks.ts';
import type { RunnerCheck, WakeRunner } from '../../../core/ports/wake-runner.ts';
import { NONCE, online, sent, stage, type Stage, START_MS, startedFor, words } from './rig/stage.ts';

const CHECKING = { runner: { adoptable: true, hasCheck: true } };
const GOOD: RunnerCheck = { check: 'program', ok: true, message: '/bin/agent 1.2.3' };
const BAD: RunnerCheck = { check: 'logged in', ok: false, message: 'not logged in: run agent login on worker-1' };
const failing = ({ check, message }: RunnerCheck) => ({ check, message });
const checked = (sidecar: Stage, ...checks: RunnerCheck[]) => sidecar.take({ type: 'runner_checked', checks });

t.test('no hub is contacted before the first checks are done, and identify carries their outcome', async (t) => {
  const sidecar = stage(CHECKING);
  t.same(words(sidecar.take({ type: 'start' })), ['withdrawAllExcept', 'check']);
  t.same(words(sidecar.timer('reconnect')), [], 'not even by a timer');
  const effects = checked(sidecar, GOOD, BAD);
  t.same(words(effects), ['connect']);
  t.equal(startedFor(effects, 'checks'), 10_000);
  t.match(sent(sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: 1 })), [
    { type: 'identify', checks: { ok: false, failed: [failing(BAD)], passed: [failing(GOOD)] } },
  ]);
  t.same(words(sidecar.frame({ type: 'identified', agent_id: 'worker-1', held: [] })), ['ready'], 'it is not sent twice');
});

t.test('failed checks are repeated with backoff; a change is reported at once, an unchanged outcome is not', async (t) => {
  const sidecar = stage(CHECKING);
  sidecar.take({ type: 'start' });
  checked(sidecar, GOOD);
  sidecar.identify();
  t.same(words(sidecar.timer('checks')), ['check']);
  t.same(words(sidecar.timer('checks')), [], 'one check at a time');
  t.match(sent(checked(sidecar, BAD)), [{ type: 'runner_checks', ok: false, failed: [failing(BAD)] }]);
  const waits: (number | undefined)[] = [];
  for (let n = 0; n < 7; n += 1) {
    sidecar.timer('checks');
    const effects = checked(sidecar, BAD);
    t.same(sent(effects), []);
    waits.push(startedFor(effects, 'checks'));
  }
  t.same(waits, [20_000, 40_000, 80_000, 160_000, 320_000, 600_000, 600_000]);
  t.match(sent(sidecar.timer('ping')), [{ type: 'ping', checks: { ok: false, failed: [failing(BAD)] } }]);
  sidecar.timer('checks');
  const passed = checked(sidecar, GOOD);
  t.match(sent(passed), [{ type: 'runner_checks', ok: true, failed: [], passed: [failing(GOOD)] }]);
  t.equal(startedFor(passed, 'checks'), 600_000);
});

t.test('check and resume are always answered with the outcome of the checks, even if unchanged', async (t) => {
  const sidecar = stage(CHECKING);
  sidecar.take({ type: 'start' });
  checked(sidecar, BAD);
  sidecar.identify();
  t.same(words(sidecar.frame({ type: 'check' })), ['measureDisk', 'check']);
  t.match(sent(checked(sidecar, BAD)), [{ type: 'runner_checks', ok: false }]);
  t.same(words(sidecar.frame({ type: 'resume' })), ['send resumed', 'check'], 'the hub assigns nothing before a check that failed passes');
  t.match(sent(checked(sidecar, BAD)), [{ type: 'runner_checks', ok: false }]);
  t.match(sent(online().frame({ type: 'check' })), [{ type: 'runner_checks', ok: true }], 'it answers even with nothing to check');
});

t.test('a clock that is 10 minutes off fails until it is corrected, even if an answer is delayed', async (t) => {
  const sidecar = stage();
  sidecar.take({ type: 'start' });
  const effects = sidecar.identify({ server_time: START_MS + 600_000 });
  t.match(sent(effects).at(-1), {
    type: 'runner_checks',
    ok: false,
    failed: [
      { check: 'clock', message: "this machine's clock is 10 min behind the clock of the hub. Set the wrong one, preferably by NTP." },
    ],
  });
  sidecar.timer('ping');
  sidecar.nowMs += 60_000;
  t.same(sent(sidecar.frame({ type: 'pong', timestamp: START_MS })), [], 'an answer that took a minute says nothing about the clock');
  sidecar.timer('ping');
  sidecar.nowMs += 541_000;
  t.same(sent(sidecar.frame({ type: 'pong', timestamp: START_MS + 600_000 })), [], 'neither does one during which the clock was set');
  sidecar.timer('ping');
  t.match(sent(sidecar.frame({ type: 'pong', timestamp: sidecar.nowMs + 200 })), [{ type: 'runner_checks', ok: true }]);
  sidecar.timer('ping');
  t.match(sent(sidecar.frame({ type: 'pong', timestamp: sidecar.nowMs - 301_000 })), [{ failed: [{ message: /5 min ahead of/ }] }]);
});

t.test('a full disk fails, and passes when there is room again', async (t) => {
  const sidecar = online();
  const full = sidecar.take({ type: 'disk_measured', refusedBytes: 0, hasReserve: false });
  t.match(sent(full), [{ type: 'runner_checks', ok: false, failed: [{ check: 'disk', message: /disk .* is full/ }] }]);
  t.equal(startedFor(full, 'disk'), 5_000, 'checked again soon');
  t.match(sent(sidecar.take({ type: 'disk_measured', refusedBytes: 0, hasReserve: true })), [{ type: 'runner_checks', ok: true }]);
});

t.test('a check that hangs, throws or returns garbage never blocks the sidecar', async (t) => {
  const clock = virtualClock();
  const look = (check: WakeRunner['check']) =>
    runChecks({ adoptable: true, ...(check === undefined ? {} : { check }) } as WakeRunner, {
      clock,
      stopController: () => new AbortController(),
    });
  t.same(await look(undefined), []);
  t.match(await look(() => Promise.reject(new Error('no such file'))), [{ ok: false, message: 'checks threw: no such file' }]);
  t.match(
    await look(() => {
      throw new Error('at once');
    }),
    [{ ok: false, message: 'checks threw: at once' }],
  );
  let wasAborted = false;
  const hanging = look((signal) => {
    signal?.addEventListener('abort', () => (wasAborted = true));
    return new Promise(() => undefined);
  });
  clock.advance(5_000);
  t.match(await hanging, [{ check: 'runner', ok: false, message: /timed out after 5 s/ }]);
  t.ok(wasAborted, 'its work is aborted');

  const sidecar = stage(CHECKING);
  sidecar.take({ type: 'start' });
  const flood = Array.from({ length: 500 }, () => ({ check: '\ud800'.repeat(200), ok: false, message: '\u0000'.repeat(100_000) }));
  checked(sidecar, ...flood);
  const [identify] = sent(sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: 1 }));
  t.ok(JSON.stringify(identify).length < 8_000, 'runner checks leave room for the held assignments');
  sidecar.frame({ type: 'identified', agent_id: 'worker-1', held: [] });
  const [ping] = sent(sidecar.timer('ping'));
  t.equal((ping?.['checks'] as { failed: unknown[] }).failed.length, 32);
  t.ok(JSON.stringify(ping).length < 64_000);
});

t.test('R13: a long check message is cut so that its remedy remains', async (t) => {
  const hint = 'Install it with "npm install -g agent".';
  const text = checkText({ message: `There is no agent in ${'"long" '.repeat(1_000)}.`, hint }, 256);
  t.ok(JSON.stringify(text).length <= 256 + 2, 'an ellipsis has three bytes');
  t.match(text, /^There is no agent in "long" .*… Install it with "npm install -g agent"\.$/);
  t.equal(checkText({ message: 'It is gone.', hint }, 256), `It is gone. ${hint}`);
  t.equal(checkText({ message: 'x'.repeat(300) }, 256).length, 254);
  const both = checkText({ message: 'm'.repeat(300), hint: 'c'.repeat(300) }, 256);
  t.match(both, /^m{94}… c{150,}$/);
  const sidecar = stage(CHECKING);
  sidecar.take({ type: 'start' });
  checked(sidecar, { ...BAD, message: 'm'.repeat(900), hint });
  const [identify] = sent(sidecar.take({ type: 'link_up', nonce: NONCE, connectionId: 1 }));
  t.match(identify, { checks: { failed: [{ check: 'logged in', message: /^m+… Install it with "npm install -g agent"\.$/ }] } });
});
