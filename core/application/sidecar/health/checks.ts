/**
 * Whether the agent could run now: the runner's checks, this machine's clock and its disk. Sent with identify, on every
 * change and with each ping; while a check fails the hub assigns nothing. Failed checks are repeated with backoff,
 * passed ones now and then.
 */
import { backoffMs } from '../../../domain/backoff.ts';
import { cutEncoded, encodedBytes, wellFormed } from '../../../domain/encoded-text.ts';
import type { NamedCheck } from '../../../domain/agent/agent.ts';
import type { RunnerCheck } from '../../../ports/wake-runner.ts';
import { CHECK_CHARACTERS_MAX, CHECKS_MAX } from '../../../protocol/fields.ts';
import type { ChecksFrame } from '../../../protocol/sidecar-frames.ts';
import { CLOCK_ANSWER_MAX_MS, CHECKS_BACKOFF, CHECKS_EVERY_MS } from '../state/constants.ts';
import type { ChecksState, SidecarState } from '../state/state.ts';
import type { StepContext } from '../state/step-context.ts';

/** The maximum size of the message of each check in `identify`, bytes of JSON. */
export const IDENTIFY_MESSAGE_BYTES = 256;

/** Runs the runner's checks unless they are running. */
export function requestChecks(step: StepContext): void {
  if (step.settings.runner?.hasCheck !== true || step.state.checks.isRunning) return;
  patch(step, { isRunning: true });
  step.afterPersist({ type: 'check' });
}

/** Whether the first checks are still running; until then the sidecar must not connect. */
export const isAwaitingFirstChecks = ({ checks }: SidecarState): boolean => checks.isRunning && checks.runner === null;

export function onRunnerChecked(step: StepContext, checks: readonly RunnerCheck[]): void {
  const failed = checks.some(({ ok }) => !ok);
  const failures = failed ? step.state.checks.failures + 1 : 0;
  applyChecks(step, { isRunning: false, runner: checks, failures });
  step.startTimer('checks', failed ? backoffMs(CHECKS_BACKOFF, failures) : CHECKS_EVERY_MS);
  sendChecks(step);
}

/** Checks now, and sends the outcome even if it is unchanged. */
export function onCheckRequested(step: StepContext): void {
  patch(step, { sent: null });
  if (step.settings.runner?.hasCheck === true) requestChecks(step);
  else sendChecks(step);
}

/** Derives this clock's offset from an answer that carries the hub's time. */
export function onHubTime(step: StepContext, hubMs: number): void {
  const { timeRequestedAtMs } = step.state.link;
  // A slow answer shows nothing about the clocks, nor does one during which this clock jumped.
  if (timeRequestedAtMs === null || step.nowMs < timeRequestedAtMs || step.nowMs - timeRequestedAtMs > CLOCK_ANSWER_MAX_MS) return;
  applyChecks(step, { clockBehindMs: hubMs - step.nowMs });
  sendChecks(step);
}

/** Sends the checks if the failing ones changed since they were last sent. */
function sendChecks(step: StepContext): void {
  if (step.state.link.phase !== 'identified' || step.state.checks.isRunning) return;
  const checks = checksOf(step);
  if (failedKey(checks) === step.state.checks.sent) return;
  patch(step, { sent: failedKey(checks) });
  step.send({ type: 'runner_checks', ...checks });
}

/** The checks for `identify`, shortened to fit; the next ping has them in full. */
export function checksForIdentify(step: StepContext): ChecksFrame {
  patch(step, { sent: failedKey(checksOf(step)) });
  return checksOf(step, { count: 8, messageBytes: IDENTIFY_MESSAGE_BYTES });
}

/** The failing checks for a ping, so that losing one frame cannot leave the hub with stale state. */
export function checksForPing(step: StepContext): ChecksFrame {
  const { ok, failed = [] } = checksOf(step);
  return ok ? { ok } : { ok, failed };
}

const failedKey = ({ failed = [] }: ChecksFrame): string => JSON.stringify(failed);

function checksOf(step: StepContext, most = { count: CHECKS_MAX, messageBytes: CHECK_CHARACTERS_MAX }): ChecksFrame {
  const { runner, clockBehindMs, hasReserve } = step.state.checks;
  const all = [...(runner ?? []), ...clockChecks(clockBehindMs, step.settings.timing.clockOffMaxMs), ...diskChecks(hasReserve)];
  const those = (passed: boolean): NamedCheck[] =>
    all
      .filter(({ ok }) => ok === passed)
      .slice(0, most.count)
      .map((check) => toFrame(check, most.messageBytes));
  const failed = those(false);
  return { ok: failed.length === 0, failed, passed: those(true) };
}

const toFrame = (one: RunnerCheck, messageBytes: number): NamedCheck => ({
  check: wellFormed(one.check).slice(0, 64) || 'runner',
  message: checkText(one, messageBytes),
});

const CUT = '… ';
/** How much a finding may always take, however long its hint is, bytes of JSON. */
const FOUND_BYTES_MIN = 96;

/** What a check found and its hint, at most `bytesMax` bytes of JSON; the hint is cut last, since it is what helps. */
export function checkText({ message, hint = '' }: Pick<RunnerCheck, 'message' | 'hint'>, bytesMax: number): string {
  const [found, toDo] = [wellFormed(message), wellFormed(hint)];
  const whole = toDo === '' ? found : `${found} ${toDo}`;
  if (toDo === '' || encodedBytes(whole) <= bytesMax) return cutEncoded(whole, bytesMax);
  const room = Math.max(FOUND_BYTES_MIN, bytesMax - encodedBytes(`${CUT}${toDo}`) + 2);
  const shown = cutEncoded(found, room);
  return cutEncoded(`${shown}${shown.length < found.length ? CUT : ' '}${toDo}`, bytesMax);
}

const MINUTE_MS = 60_000;

function clockChecks(clockBehindMs: number | null, offMaxMs: number): readonly RunnerCheck[] {
  if (clockBehindMs === null) return [];
  if (Math.abs(clockBehindMs) <= offMaxMs) return [{ check: 'clock', ok: true, message: 'in sync with the hub' }];
  const minutes = Math.round(Math.abs(clockBehindMs) / MINUTE_MS);
  const message = `this machine's clock is ${minutes} min ${clockBehindMs > 0 ? 'behind' : 'ahead of'} the clock of the hub. Set the wrong one, preferably by NTP.`;
  return [{ check: 'clock', ok: false, message }];
}

function diskChecks(hasReserve: boolean | null): readonly RunnerCheck[] {
  if (hasReserve === null) return [];
  if (hasReserve) return [{ check: 'disk', ok: true, message: 'there is space for reports' }];
  const message = "the disk of the sidecar's data directory is full. Free at least 16 MiB.";
  return [{ check: 'disk', ok: false, message }];
}

const patch = (step: StepContext, checks: Partial<ChecksState>): void => {
  step.state = { ...step.state, checks: { ...step.state.checks, ...checks } };
};

/** Applies check results and logs a change in what fails. */
function applyChecks(step: StepContext, changes: Partial<ChecksState>): void {
  const before = failedKey(checksOf(step));
  patch(step, changes);
  const { failed = [] } = checksOf(step);
  if (failedKey({ ok: failed.length === 0, failed }) === before) return;
  if (failed.length > 0) step.log('error', 'checks fail; the hub assigns no tasks until they pass', { failed });
  else step.log('info', 'checks pass');
}

/** The disk reserve was measured. */
export function onReserve(step: StepContext, hasReserve: boolean): void {
  if (step.state.checks.hasReserve === hasReserve) return;
  applyChecks(step, { hasReserve });
  sendChecks(step);
}
