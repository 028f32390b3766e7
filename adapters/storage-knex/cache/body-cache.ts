/** A cache of the bodies of tasks that were submitted a moment ago or are given out next, while nobody else writes the database. A body never changes. */
import type { TaskId } from '../../../core/domain/ids.ts';
import { isEnded, bodyCharacters, type Task, type TaskBody } from '../../../core/domain/task/task.ts';
import { TwoGenerations } from './two-generations.ts';

/** What is kept, in characters; the oldest are evicted. */
const CHARACTERS_MAX = 8_388_608;
/** What is read ahead at once: fewer bodies where they are large. */
const AHEAD_CHARACTERS = 131_072;
const AHEAD_MAX = 128;
/** What a body weighs beside its texts. */
const BODY_CHARACTERS = 256;

interface Kept {
  readonly body: TaskBody;
  readonly characters: number;
}

export class BodyCache {
  readonly #kept = new TwoGenerations<TaskId, Kept>(CHARACTERS_MAX, ({ characters }) => characters);
  /** Characters of those that were taken in last. */
  #typical = BODY_CHARACTERS;

  get(id: TaskId): TaskBody | undefined {
    return this.#kept.get(id)?.body;
  }

  /** How many that are not known are worth reading with others. */
  get readAhead(): number {
    return Math.min(AHEAD_MAX, Math.floor(AHEAD_CHARACTERS / this.#typical));
  }

  /** Takes in a body that is not here. */
  take(id: TaskId, body: TaskBody): void {
    const characters = BODY_CHARACTERS + bodyCharacters(body);
    this.#kept.add(id, { body, characters });
    this.#typical = Math.max(characters, (this.#typical * 7 + characters) / 8);
  }

  /** Takes over the body of a new task. */
  takeNew(task: Task, body: TaskBody): void {
    if (mayBeGiven(task)) this.take(task.id, body);
  }

  /** Takes over a changed task: what was given out is not wanted soon. */
  takeChanged(task: Task): void {
    if (!mayBeGiven(task)) this.#kept.delete(task.id);
  }

  clear(): void {
    this.#kept.clear();
  }
}

const mayBeGiven = (task: Task): boolean => !isEnded(task) && task.status !== 'assigned';
