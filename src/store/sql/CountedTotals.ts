/** The totals by status as they are kept, and as the orders and what remains of pruned ones are counted. */
export const countedTotals = `
    WITH
      present AS (SELECT status, count(*) AS orders FROM orders GROUP BY status),
      removed AS (SELECT status, count(*) AS orders FROM pruned GROUP BY status),
      kept (name, kept) AS (
        SELECT 'Pending', pending FROM totals UNION ALL SELECT 'Processing', processing FROM totals
        UNION ALL SELECT 'Completed', completed FROM totals UNION ALL SELECT 'Failed', failed FROM totals
        UNION ALL SELECT 'Cancelled', cancelled FROM totals
      )
    SELECT
      name, kept,
      COALESCE((SELECT orders FROM present WHERE status = name), 0)
        + COALESCE((SELECT orders FROM removed WHERE status = name), 0) AS counted
    FROM kept`
