/**
 * A cache of the bodies of tasks that were just submitted or are assigned next, while nobody else writes to the database. A body never
 * changes.
 */
import type { TaskId } from '../../../core/domain/ids.ts';
import { isEnded, bodyCharacters, type Task, type TaskBody } from '../../../core/domain/task/task.ts';
import { TwoGenerations } from './two-generations.ts';

/** The size of the cache, in characters; the oldest bodies are evicted. */
const CHARACTERS_MAX = 8_388_608;
/** How much is read ahead at once: fewer bodies if they are large. */
const AHEAD_CHARACTERS = 262_144;
const AHEAD_MAX = 512;
/** What a body counts in addition to its texts, in characters. */
const BODY_CHARACTERS = 256;

interface Kept {
  readonly body: TaskBody;
  readonly characters: number;
}

export class BodyCache {
  readonly #kept = new TwoGenerations<TaskId, Kept>(CHARACTERS_MAX, ({ characters }) => characters);
  /** The size of recently added bodies, in characters: an average, which a larger body raises at once. */
  #typical = BODY_CHARACTERS;

  get(id: TaskId): TaskBody | undefined {
    return this.#kept.get(id)?.body;
  }

  /** How many uncached bodies are worth reading along with others. */
  get readAhead(): number {
    return Math.min(AHEAD_MAX, Math.floor(AHEAD_CHARACTERS / this.#typical));
  }

  /** Adds a body that is not cached. */
  take(id: TaskId, body: TaskBody): void {
    const characters = BODY_CHARACTERS + bodyCharacters(body);
    this.#kept.add(id, { body, characters });
    this.#typical = Math.max(characters, (this.#typical * 7 + characters) / 8);
  }

  /** Adds the body of a new task, if the task may yet be assigned. */
  takeNew(task: Task, body: TaskBody): void {
    if (mayBeGiven(task)) this.take(task.id, body);
  }

  /** Applies a change of a task: the body of a task that is assigned or has ended is not needed soon. */
  takeChanged(task: Task): void {
    if (!mayBeGiven(task)) this.#kept.delete(task.id);
  }

  clear(): void {
    this.#kept.clear();
  }
}

const mayBeGiven = (task: Task): boolean => !isEnded(task) && task.status !== 'assigned';
