"""CronJobs: Jobs that are made when they are due.

`timing` knows when that is, `sync` decides, `controller` carries out.
"""
