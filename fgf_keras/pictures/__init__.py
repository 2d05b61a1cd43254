"""Pictures of patients: panels, pages for reports, and strips for TensorBoard."""
