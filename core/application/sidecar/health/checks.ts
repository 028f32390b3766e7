/**
 * Whether the agent could run at all: what its runner finds, this machine's clock, and its disk. Said with every identify,
 * on each change and with each ping; while something fails, the hub gives nothing. What failed is looked at again, after
 * waits that grow; what passed now and then.
 */
import { backoffMs } from '../../../domain/backoff.ts';
import { cutEncoded, wellFormed } from '../../../domain/encoded-text.ts';
import type { NamedCheck } from '../../../domain/agent/agent.ts';
import type { RunnerCheck } from '../../../ports/wake-runner.ts';
import { CHECK_CHARACTERS_MAX, CHECKS_MAX } from '../../../protocol/fields.ts';
import type { ChecksFrame } from '../../../protocol/sidecar-frames.ts';
import { ANSWER_WITHIN_MS, CHECKS_AGAIN, CHECKS_EVERY_MS } from '../state/bounds.ts';
import type { ChecksState, SidecarState } from '../state/state.ts';
import type { Turn } from '../state/step-context.ts';

/** Asks the runner, unless it is being asked. */
export function lookAtRunner(turn: Turn): void {
  if (turn.setting.runner?.hasCheck !== true || turn.state.checks.isLooking) return;
  patch(turn, { isLooking: true });
  turn.outwardly({ type: 'check' });
}

/** Whether nothing is to be promised yet: its runner has not answered for the first time. */
export const isUnlooked = ({ checks }: SidecarState): boolean => checks.isLooking && checks.runner === null;

export function onChecked(turn: Turn, checks: readonly RunnerCheck[]): void {
  const failed = checks.some(({ ok }) => !ok);
  const failures = failed ? turn.state.checks.failures + 1 : 0;
  find(turn, { isLooking: false, runner: checks, failures });
  turn.startTimer('checks', failed ? backoffMs(CHECKS_AGAIN, failures) : CHECKS_EVERY_MS);
  tellChecks(turn);
}

/** Looks at once, and says what it found also where that is nothing new. */
export function onCheckAsked(turn: Turn): void {
  patch(turn, { told: null });
  if (turn.setting.runner?.hasCheck === true) lookAtRunner(turn);
  else tellChecks(turn);
}

/** By how much this machine's clock is behind that of the hub, from an answer that tells the hub's time. */
export function onHubTime(turn: Turn, hubMs: number): void {
  const { askedAtMs } = turn.state.link;
  // One that was long on its way tells nothing, and neither does one around which this clock jumped.
  if (askedAtMs === null || turn.nowMs < askedAtMs || turn.nowMs - askedAtMs > ANSWER_WITHIN_MS) return;
  find(turn, { behindMs: hubMs - turn.nowMs });
  tellChecks(turn);
}

/** Says it when what fails has changed since it was said last. */
export function tellChecks(turn: Turn): void {
  if (turn.state.link.phase !== 'identified' || turn.state.checks.isLooking) return;
  const said = checksOf(turn);
  if (toldText(said) === turn.state.checks.told) return;
  patch(turn, { told: toldText(said) });
  turn.send({ type: 'runner_checks', ...said });
}

/** To say it with the frame that makes a session, which has little room: what is cut here is whole in the next ping. */
export function checksToIdentify(turn: Turn): ChecksFrame {
  patch(turn, { told: toldText(checksOf(turn)) });
  return checksOf(turn, { count: 8, messageBytes: 256 });
}

/** To say with each ping what fails, so that the loss of a single frame cannot leave the hub believing otherwise. */
export function checksToPing(turn: Turn): ChecksFrame {
  const { ok, failed = [] } = checksOf(turn);
  return ok ? { ok } : { ok, failed };
}

const toldText = ({ failed = [] }: ChecksFrame): string => JSON.stringify(failed);

function checksOf(turn: Turn, most = { count: CHECKS_MAX, messageBytes: CHECK_CHARACTERS_MAX }): ChecksFrame {
  const { runner, behindMs, hasReserve } = turn.state.checks;
  const all = [...(runner ?? []), ...ofClock(behindMs, turn.setting.timing.clockOffMaxMs), ...ofDisk(hasReserve)];
  const those = (passed: boolean): NamedCheck[] =>
    all
      .filter(({ ok }) => ok === passed)
      .slice(0, most.count)
      .map((check) => named(check, most.messageBytes));
  const failed = those(false);
  return { ok: failed.length === 0, failed, passed: those(true) };
}

const named = ({ check, message }: RunnerCheck, messageBytes: number): NamedCheck => ({
  check: wellFormed(check).slice(0, 64) || 'runner',
  message: cutEncoded(wellFormed(message), messageBytes),
});

const MINUTE_MS = 60_000;

function ofClock(behindMs: number | null, offMaxMs: number): readonly RunnerCheck[] {
  if (behindMs === null) return [];
  if (Math.abs(behindMs) <= offMaxMs) return [{ check: 'clock', ok: true, message: 'as that of the hub' }];
  const minutes = Math.round(Math.abs(behindMs) / MINUTE_MS);
  const message = `this machine's clock is ${minutes} min ${behindMs > 0 ? 'behind' : 'ahead of'} that of the hub. Set the one that is wrong, best by NTP.`;
  return [{ check: 'clock', ok: false, message }];
}

function ofDisk(hasReserve: boolean | null): readonly RunnerCheck[] {
  if (hasReserve === null) return [];
  if (hasReserve) return [{ check: 'disk', ok: true, message: 'there is room for reports' }];
  const message = "the disk of the sidecar's data directory is full. Make room: it goes on once 16 MiB are free.";
  return [{ check: 'disk', ok: false, message }];
}

const patch = (turn: Turn, checks: Partial<ChecksState>): void => {
  turn.state = { ...turn.state, checks: { ...turn.state.checks, ...checks } };
};

/** Takes in what was found, and logs it where that changes what fails. */
function find(turn: Turn, found: Partial<ChecksState>): void {
  const before = toldText(checksOf(turn));
  patch(turn, found);
  const { failed = [] } = checksOf(turn);
  if (toldText({ ok: failed.length === 0, failed }) === before) return;
  if (failed.length > 0) turn.log('error', 'its checks fail; the hub gives it no task until they pass', { failed });
  else turn.log('info', 'its checks pass');
}

/** As the journal's room was measured. */
export function onReserve(turn: Turn, hasReserve: boolean): void {
  if (turn.state.checks.hasReserve === hasReserve) return;
  find(turn, { hasReserve });
  tellChecks(turn);
}
