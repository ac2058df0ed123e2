import { type ServiceError, type ServiceRefusal, serviceError } from '../http/service-error.js'
import type { Identity, Token } from '../identity/token.js'
import type { Explain } from '../session.js'

/** What is done with a secret, as far as roles make a difference. */
export type SecretAct = 'store' | 'read' | 'list' | 'change'

/**
 * Which roles may (barbican/common/policies, the rules that deployments have had since the beginning).
 * Where the new default rules are enforced, it is `member`.
 */
const ROLES: Readonly<Record<SecretAct, readonly string[]>> = {
  store: ['creator', 'admin'],
  read: ['creator', 'observer', 'admin'],
  list: ['creator', 'observer', 'admin'],
  change: ['creator', 'admin'],
}

/** Says why Barbican refuses, and the command that changes it. */
export function explainer(attempt: string, act: SecretAct): Explain {
  return (refusal, token) => explainRefusal(refusal, token, attempt, act)
}

function explainRefusal(
  refusal: ServiceRefusal,
  token: Token,
  attempt: string,
  act: SecretAct,
): ServiceError | undefined {
  const { status, description } = refusal
  if (status === 403) return forbidden(refusal, token.identity, attempt, act)
  const what = `barbican did not ${attempt}`
  if (status === 404) {
    return serviceError(refusal, what, { hint: 'it may have been deleted, or have expired' })
  }
  if (status === 413) {
    const hint = 'Barbican takes 20,000 bytes by default (max_allowed_secret_in_bytes)'
    return serviceError(refusal, what, { code: 'usage', hint })
  }
  if (status === 406 && /payload/i.test(description)) {
    return serviceError(refusal, what, { code: 'usage' })
  }
  return undefined
}

function forbidden(
  refusal: ServiceRefusal,
  identity: Identity,
  attempt: string,
  act: SecretAct,
): ServiceError {
  const { user, project, roles } = identity
  const where = project === null ? 'without a project' : `in the project ${project.name}`
  const what = `barbican did not ${attempt} for ${user.name} ${where}`
  if (/quota/i.test(refusal.description)) {
    const hint =
      'delete secrets that nobody needs, or have the quota of the project raised (its own role: key-manager:service-admin)'
    return serviceError(refusal, what, { hint })
  }
  const held = roles.length === 0 ? 'no role' : `the roles ${roles.join(', ')}`
  const hasRole = ROLES[act].some((role) => roles.includes(role))
  const hint = hasRole ? shareHint(identity, act) : roleHint(identity)
  return serviceError(refusal, `${what}, with ${held}`, { hint })
}

function roleHint({ user, project }: Identity): string {
  const target = project === null ? '--project PROJECT' : `--project ${project.id}`
  return `an administrator can allow it: openstack role add --user ${user.id} ${target} creator (or member, where the new default rules are enforced)`
}

/** The role is there, so the secret is another project's, or private. */
function shareHint({ user }: Identity, act: SecretAct): string {
  const whose = "the secret is another project's, or private"
  if (act !== 'read') return `${whose}: only its owner or an administrator there can do that`
  return `${whose}; its owner can let this user read it: openstack acl user add --user ${user.id} --operation-type read SECRET_HREF`
}
