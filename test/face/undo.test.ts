import { types } from 'node:util'
import { describe, expect, it } from 'vitest'
import { VolsealError } from '../../src/core/errors.js'
import { type Made, Undo } from '../../src/face/undo.js'
import { ServiceError, serviceError } from '../../src/openstack/http/service-error.js'

const REFUSAL = {
  service: 'glance',
  status: 409,
  description: 'it is in use',
  requestId: 'req-1',
}

function refused(): ServiceError {
  return serviceError(REFUSAL, 'glance did not delete it', { hint: 'wait' })
}

/** Something that is kept by who throws, or gone. */
function made(what: string, failure?: Error): Made {
  const takeBack = async (): Promise<undefined> => {
    if (failure !== undefined) throw failure
  }
  return { what, byHand: `delete ${what}`, takeBack }
}

function undoOf(...all: readonly Made[]): Undo {
  const undo = new Undo()
  for (const one of all) undo.add(one)
  return undo
}

const DENIED = new VolsealError('forbidden', 'not allowed')
const LEFT = ['b is left behind (not allowed; by hand: delete b)']

describe('an error after which all was taken back', () => {
  it('is the same error', async () => {
    const error = refused()
    expect(await undoOf(made('a')).all(error)).toBe(error)
  })
})

describe('an error that leaves something behind', () => {
  it('keeps all that it knows, in its JSON, too', async () => {
    const error = refused()
    const told = await undoOf(made('a'), made('b', DENIED)).all(error)
    expect(told).toBeInstanceOf(ServiceError)
    expect(told).toMatchObject({ code: 'busy', message: error.message, http: REFUSAL, left: LEFT })
    expect(JSON.parse(JSON.stringify(told))).toEqual({
      code: 'busy',
      message: error.message,
      hint: `wait; ${LEFT.join('')}`,
      http: { service: 'glance', status: 409, requestId: 'req-1' },
      left: LEFT,
    })
    expect(types.isNativeError(told)).toBe(true)
    expect(told.stack).toBe(error.stack)
  })

  it('does not change the one that stops others, too', async () => {
    const reason = new VolsealError('interrupted', 'interrupted')
    await undoOf(made('b', DENIED)).all(reason)
    expect(reason).toMatchObject({ hint: undefined, left: undefined })
  })

  it('says what was left before, as well', async () => {
    const first = await undoOf(made('b', DENIED)).all(refused())
    const both = await undoOf(made('c', DENIED)).all(first)
    expect(both.left).toEqual([...LEFT, 'c is left behind (not allowed; by hand: delete c)'])
  })

  it('that is none of ours keeps what the system says', async () => {
    const error = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
    const told = await undoOf(made('b', DENIED)).all(error)
    expect(told).toMatchObject({ code: 'io', cause: error, left: LEFT })
  })
})

describe('what was made for a while only', () => {
  it('is named when it stays', async () => {
    const taking = undoOf(made('b', DENIED)).takeAll()
    await expect(taking).rejects.toMatchObject({ code: 'io', message: LEFT[0], left: LEFT })
  })
})
