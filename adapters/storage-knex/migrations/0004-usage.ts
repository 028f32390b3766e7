/**
 * Stores the usage of each attempt, the session of a task's last attempt, and why an agent is paused. The usage of older tasks is known
 * only as one sum.
 */
import type { Migration } from '../rows/migration.ts';

export const usage: Migration = {
  name: '0004-usage',
  sqlite: [
    `UPDATE tasks SET state = json_remove(
      json_set(
        state,
        '$.usage', json_object(
          'attempts', json('[]'),
          'earlier', json_object('tokensUsed', state -> '$.tokensUsed', 'costUsd', state -> '$.costUsd')),
        '$.session', json('null')),
      '$.tokensUsed', '$.costUsd')`,
    `UPDATE agents SET state = json_set(
      state, '$.pausedCause', json('null'), '$.pauses', 0, '$.checks', json('null'), '$.checksAsked', 0)`,
  ],
  // Edited as text, since the JSON functions of Postgres reject some texts that a state may contain. A name with its quotes never occurs
  // inside such a text.
  postgres: [
    `UPDATE tasks SET state = regexp_replace(
      state,
      '"tokensUsed":(null|[0-9.eE+-]+),"costUsd":(null|[0-9.eE+-]+)',
      '"usage":{"attempts":[],"earlier":{"tokensUsed":\\1,"costUsd":\\2}},"session":null')`,
    `UPDATE agents SET state = regexp_replace(
      state, '"busyUntilMs":', '"pausedCause":null,"pauses":0,"checks":null,"checksAsked":0,"busyUntilMs":')`,
  ],
};
