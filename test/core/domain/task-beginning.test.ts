import t from 'tap';
import { meantBy, taskIdBeginning } from '../../../core/domain/task/task-beginning.ts';

t.test('a task is named by four digits of its ID or more, with or without task-, in upper or lower case', async (t) => {
  for (const text of ['01a2', 'task-01a2', '01A2', 'Task-01A2']) t.equal(taskIdBeginning(text), 'task-01a2', text);
  for (const text of ['01a', 'task-01a', 'task-task-01a2', '01a2g', ' 01a2', '', '0'.repeat(65)])
    t.equal(taskIdBeginning(text), null, text);
});

t.test('a beginning that is a whole ID means that task, even if other IDs begin with it', async (t) => {
  const whole = { id: 'task-0123456789abcdef' };
  const longer = { id: 'task-0123456789abcdef0' };
  t.strictSame(meantBy(whole.id, [whole, longer]), [whole]);
  t.strictSame(meantBy('task-0123', [whole, longer]), [whole, longer]);
  t.strictSame(meantBy('task-0123', []), []);
});
