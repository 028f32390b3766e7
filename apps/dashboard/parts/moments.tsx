/** Times and durations, as people say them. */
import { signal } from '@preact/signals';
import type { JSX } from 'preact';
import { hubNowMs } from '../hub/hub-requests.ts';

const TICK_MS = 1_000;
/** The hub's time, every second while the page is seen. */
export const nowMs = signal(Date.now());

export function startClock(): void {
  setInterval(() => {
    if (!document.hidden) nowMs.value = hubNowMs();
  }, TICK_MS);
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const;

export function durationText(ms: number): string {
  const unit = UNITS.find(([, size]) => ms >= 2 * size);
  if (unit !== undefined) return `${Math.floor(ms / unit[1])} ${unit[0]}`;
  return ms < TICK_MS ? `${Math.max(0, Math.round(ms))} ms` : `${(ms / TICK_MS).toFixed(1)} s`;
}

const DAY = { day: 'numeric', month: 'short', year: 'numeric' } as const;
const CLOCK = { hour: '2-digit', minute: '2-digit', second: '2-digit' } as const;
const absolute = new Intl.DateTimeFormat('en-GB', { ...DAY, ...CLOCK, timeZoneName: 'short' });
const day = new Intl.DateTimeFormat('en-GB', DAY);
const clockTime = new Intl.DateTimeFormat('en-GB', CLOCK);

/** The browser's, in which all times are shown and entered. */
export const timeZone = absolute.resolvedOptions().timeZone;
export const dayText = (ms: number): string => day.format(ms);
export const timeText = (ms: number): string => absolute.format(ms);
const minuteTime = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
export const minuteText = (ms: number): string => minuteTime.format(ms);
export const clockText = (ms: number): string => clockTime.format(ms);

const NOW_MS = 2_000;

/** `3 min ago`, or `in 5 s`; the exact time on hover. */
export function Ago({ at }: { readonly at: number | null | undefined }): JSX.Element {
  if (at === null || at === undefined) return <span class="muted">–</span>;
  const sinceMs = nowMs.value - at;
  const text = Math.abs(sinceMs) < NOW_MS ? 'now' : sinceMs > 0 ? `${durationText(sinceMs)} ago` : `in ${durationText(-sinceMs)}`;
  return (
    <time dateTime={isoText(at)} title={timeText(at)}>
      {text}
    </time>
  );
}

/** A time of an agent or a task may be any number. */
const isoText = (ms: number): string | undefined => (Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : undefined);
