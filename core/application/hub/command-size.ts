/** How much memory a waiting command takes, roughly: what came from outside with it, in UTF-16 units as bytes twice over. */
import { encodedBytes } from '../../domain/encoded-text.ts';
import type { Command, ReportBody, TaskDraft } from './commands.ts';

/** What a command without any text takes. */
const COMMAND_BYTES = 256;

export function sizeOf(command: Command): number {
  switch (command.kind) {
    case 'submit':
      return command.drafts.reduce((sum, draft) => sum + draftSize(draft), COMMAND_BYTES);
    case 'push':
      return COMMAND_BYTES + draftSize(command.draft);
    case 'report':
      return COMMAND_BYTES + reportSize(command.body);
    default:
      return COMMAND_BYTES;
  }
}

const draftSize = ({ body }: TaskDraft): number => {
  const texts = [body.description, body.metadata ?? '', ...body.fileHints, ...body.successCriteria, ...body.verificationSteps];
  return texts.reduce((sum, text) => sum + text.length * 2, COMMAND_BYTES);
};

function reportSize(body: ReportBody): number {
  const details = 'details' in body && body.details !== null ? encodedBytes(body.details) * 2 : 0;
  return body.report === 'complete' ? details + body.result.length * 2 : details;
}
