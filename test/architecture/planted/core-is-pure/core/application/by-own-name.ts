import { sqlite } from 'agentcom/storage';

export const storage = sqlite({ file: 'agentcom.db' });
