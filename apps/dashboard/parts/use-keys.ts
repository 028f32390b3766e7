/** Keyboard shortcuts. They work while no field has the focus and no dialog is open. */
import { useEffect, useRef } from 'preact/hooks';

/** Actions by key, or by two keys in sequence: `g t`. */
export type Keys = Readonly<Record<string, () => void>>;

const SEQUENCE_WITHIN_MS = 1_200;
interface Pressed {
  readonly key: string;
  readonly atMs: number;
}
/** The key that is pressed now, and the one before it. */
let current: Pressed = { key: '', atMs: -Infinity };
let before = current;

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName)) &&
  !(target instanceof HTMLInputElement && target.type === 'checkbox');

export function useKeys(keys: Keys): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (document.querySelector('dialog[open]') !== null) return;
      const isSecond = event.timeStamp - before.atMs < SEQUENCE_WITHIN_MS;
      const action = (isSecond ? latest.current[`${before.key} ${event.key}`] : undefined) ?? latest.current[event.key];
      if (action !== undefined) {
        event.preventDefault();
        action();
      }
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}

/** Remembers the keys of a sequence, before any handler sees them. */
export function startKeys(): void {
  const remember = (event: KeyboardEvent): void => {
    before = current;
    current = { key: event.key, atMs: event.timeStamp };
  };
  addEventListener('keydown', remember, { capture: true });
}

export const SHORTCUTS: readonly (readonly [keys: string, what: string])[] = [
  ['g o', 'Overview'],
  ['g t', 'Tasks'],
  ['g a', 'Agents'],
  ['g d', 'Dead letters'],
  ['g k', 'Tokens'],
  ['g l', 'Audit log'],
  ['n', 'Submit a task'],
  ['/', 'Find a task by its ID'],
  ['j', 'Next row of a list'],
  ['k', 'Previous row of a list'],
  ['Enter', 'Open the row'],
  ['x', 'Select the row'],
  ['r', 'Retry the task that is open'],
  ['c', 'Cancel the task that is open'],
  ['t', 'Switch between dark and light'],
  ['?', 'These shortcuts'],
];
