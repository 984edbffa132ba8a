create or replace function candhook.backoff(attempt integer, policy candhook.handler)
returns interval
language sql volatile parallel safe
as $$
-- How long to wait after a failed attempt: exponential, times 1 - jitter to 1 + jitter so that what failed together
-- does not come back together, and never above max_delay. The exponent is bounded, since no wait needs more and
-- numbers overflow.
select least(extract(epoch from policy.max_delay)::double precision,
             extract(epoch from policy.first_delay)::double precision
             * power(policy.backoff_factor, least(attempt - 1, 100))
             * (1 - policy.jitter + 2 * policy.jitter * random()))
       * interval '1 second'
$$;
comment on function candhook.backoff(integer, candhook.handler) is
    'how long to wait after failed attempt number `attempt`: first_delay * backoff_factor^(attempt-1), times 1-jitter to '
    '1+jitter, at most max_delay';
